#!/usr/bin/env python3
"""Whole tiny embedding models made of decoders, tokenizer included, with sentence-transformers' answers: tests/data/models/tiny-*-embedder.

usage: make_decoder_embedders.py [OUT]     (default: tests/data/models; needs torch, transformers, tokenizers, sentence-transformers, gguf)

tiny-qwen3-embedder   as Qwen3-Embedding's folder: byte-level BPE with <|endoftext|> behind each text, last-token pooling, Normalize
tiny-gemma-embedder   as EmbeddingGemma's: <bos> and <eos>, attention in both directions with windows, mean, two dense layers, Normalize
Both also as tiny-*-embedder-gguf/tiny.gguf, as llama.cpp's converter writes them. expected.json: ids and vectors of texts.
"""
import json
import os
import shutil
import sys

import gguf
import sentence_transformers as st
import tokenizers as tk
import torch
import transformers as t

from reference import randomize

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "models")
CORPUS = ["The cat sat on the mat and the dog sat by the river.", "Green tea is good; bad film, bad paper, a garden window.",
          "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery:what is the capital of China?",
          "What does the stone in the garden mean? It was loved, hated and forgotten."]
TEXTS = ["The cat sat on the mat.", "tea", "  two  spaces\n\tand a tab", "日本 über café 🙂", "", CORPUS[2], "river stone " * 40]
CONTEXT = 64
# The published class has vocab_size 151669 with 151643 <|endoftext|>; here the special tokens come last too.
QWEN_SPLIT = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"


def qwen_tokenizer():
    tokenizer = tk.Tokenizer(tk.models.BPE())
    tokenizer.normalizer = tk.normalizers.NFC()
    tokenizer.pre_tokenizer = tk.pre_tokenizers.Sequence([tk.pre_tokenizers.Split(tk.Regex(QWEN_SPLIT), "isolated"),
                                                          tk.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.train_from_iterator(CORPUS, tk.trainers.BpeTrainer(vocab_size=320, initial_alphabet=tk.pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    tokenizer.add_special_tokens(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    end = tokenizer.token_to_id("<|endoftext|>")
    tokenizer.post_processor = tk.processors.Sequence([tk.processors.ByteLevel(trim_offsets=False), tk.processors.TemplateProcessing(
        single="$A <|endoftext|>", pair="$A <|endoftext|> $B:1 <|endoftext|>:1", special_tokens=[("<|endoftext|>", end)])])
    tokenizer.decoder = tk.decoders.ByteLevel()
    return tokenizer, dict(eos_token="<|endoftext|>", pad_token="<|endoftext|>")


def gemma_tokenizer():
    special = ["<pad>", "<eos>", "<bos>", "<unk>"]
    tokenizer = tk.Tokenizer(tk.models.BPE(unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = tk.normalizers.Replace(" ", "▁")
    tokenizer.pre_tokenizer = tk.pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.train_from_iterator(CORPUS, tk.trainers.BpeTrainer(vocab_size=420, special_tokens=special + [f"<0x{i:02X}>" for i in range(256)], show_progress=False))
    spec = json.loads(tokenizer.to_str())
    spec["model"]["byte_fallback"] = True
    spec["added_tokens"] = [token for token in spec["added_tokens"] if token["content"] in special]
    tokenizer = tk.Tokenizer.from_str(json.dumps(spec))
    tokenizer.post_processor = tk.processors.TemplateProcessing(single="<bos> $A <eos>", pair="<bos> $A <eos> <bos>:1 $B:1 <eos>:1", special_tokens=[("<bos>", 2), ("<eos>", 1)])
    tokenizer.decoder = tk.decoders.Sequence([tk.decoders.Replace("▁", " "), tk.decoders.ByteFallback(), tk.decoders.Fuse()])
    return tokenizer, dict(eos_token="<eos>", bos_token="<bos>", pad_token="<pad>", unk_token="<unk>")


def write(folder, name, value):
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False)
        out.write("\n")


def modules(folder, *names):
    write(folder, "modules.json", [{"idx": i, "name": str(i), "path": "" if i == 0 else f"{i}_{name}", "type": f"sentence_transformers.models.{name}"}
                                   for i, name in enumerate(names)])


def save(name, model, tokenizer, settings, bare):
    folder = os.path.join(OUT, name)
    shutil.rmtree(folder, ignore_errors=True)
    (model.model if bare else model).save_pretrained(folder)
    t.PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=CONTEXT, **settings).save_pretrained(folder)
    if not os.path.exists(os.path.join(folder, "generation_config.json")):
        return folder
    os.remove(os.path.join(folder, "generation_config.json"))
    return folder


def answer(folder):
    """What sentence-transformers says of the files as they are."""
    torch.manual_seed(0)
    embedder = st.SentenceTransformer(folder, device="cpu", model_kwargs={"dtype": torch.float32, "attn_implementation": "eager"})
    texts = []
    for text in TEXTS:
        ids = embedder.tokenize([text])["input_ids"][0].tolist()
        texts.append({"text": text, "ids": ids, "vector": [round(float(v), 6) for v in embedder.encode(text)]})
    write(folder, "expected.json", {"texts": texts})


KEYS = {"input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output",
        "self_attn.q_norm": "attn_q_norm", "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down"}
GEMMA_NORMS = {"post_attention_layernorm": "post_attention_norm", "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"}


def write_gguf(name, architecture, model, tokenizer, pooling, extra, dense=()):
    path = os.path.join(OUT, name, "tiny.gguf")
    os.makedirs(os.path.dirname(path), exist_ok=True)
    out, c, gemma = gguf.GGUFWriter(path, architecture), model.config, architecture != "qwen3"
    out.add_block_count(c.num_hidden_layers), out.add_context_length(c.max_position_embeddings), out.add_embedding_length(c.hidden_size)
    out.add_feed_forward_length(c.intermediate_size), out.add_head_count(c.num_attention_heads), out.add_head_count_kv(c.num_key_value_heads)
    out.add_key_length(c.head_dim), out.add_value_length(c.head_dim), out.add_layer_norm_rms_eps(c.rms_norm_eps), out.add_pooling_type(pooling)
    vocabulary = {token: i for token, i in tokenizer.get_vocab(with_added_tokens=True).items()}
    tokens = [token for token, _ in sorted(vocabulary.items(), key=lambda item: item[1])]
    tokens += [f"[PAD{i}]" for i in range(len(tokens), c.vocab_size)]
    merges = [" ".join(m) if isinstance(m, list) else m for m in json.loads(tokenizer.to_str())["model"]["merges"]]
    out.add_tokenizer_model("llama" if gemma else "gpt2"), out.add_tokenizer_pre("default" if gemma else "qwen2"), out.add_token_list(tokens)
    if gemma:
        rank = {m.replace(" ", ""): i for i, m in enumerate(merges)}
        out.add_token_scores([-float(rank.get(token, -1)) - 1 if token in rank else -1000.0 for token in tokens])
        kinds = [3 if i < 3 else 2 if i == 3 else 6 if token.startswith("<0x") else 1 for i, token in enumerate(tokens)]
    else:
        out.add_token_merges(merges)
        kinds = [3 if token.startswith("<|") else 5 if token.startswith("[PAD") else 1 for token in tokens]
    out.add_token_types(kinds)
    extra(out)
    for key, tensor in model.state_dict().items():
        key = key.removeprefix("model.")
        values = tensor.float()
        if gemma and "norm" in key:
            values = values + 1
        parts = key.split(".")
        if parts[0] == "lm_head":
            continue
        if parts[0] == "layers":
            part = ".".join(parts[2:-1])
            stem = GEMMA_NORMS.get(part) if gemma and part in GEMMA_NORMS else "ffn_norm" if part == "post_attention_layernorm" else KEYS[part]
            target = f"blk.{parts[1]}.{stem}.weight"
        else:
            target = {"embed_tokens": "token_embd", "norm": "output_norm"}[parts[0]] + ".weight"
        out.add_tensor(target, values.numpy())
    for key, values in dense:
        out.add_tensor(key, values.numpy())
    out.write_header_to_file(), out.write_kv_data_to_file(), out.write_tensors_to_file()
    out.close()


SIZES = dict(hidden_size=32, intermediate_size=48, num_attention_heads=4, head_dim=16, max_position_embeddings=CONTEXT)


def qwen():
    tokenizer, settings = qwen_tokenizer()
    end = tokenizer.token_to_id("<|endoftext|>")
    config = t.Qwen3Config(**SIZES, num_hidden_layers=2, num_key_value_heads=2, vocab_size=tokenizer.get_vocab_size() + 5, tie_word_embeddings=True, rope_theta=10000.0,
                           bos_token_id=end, eos_token_id=end, pad_token_id=None)
    model = t.Qwen3ForCausalLM(config).float().eval()
    randomize(model, 1, 1)
    folder = save("tiny-qwen3-embedder", model, tokenizer, settings, bare=False)
    # The published checkpoint has the bare layers' names under the class with the output matrix.
    from safetensors.torch import load_file, save_file
    weights = os.path.join(folder, "model.safetensors")
    save_file({key.removeprefix("model."): value for key, value in load_file(weights).items()}, weights, {"format": "pt"})
    modules(folder, "Transformer", "Pooling", "Normalize")
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False,
                                            "pooling_mode_mean_sqrt_len_tokens": False, "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": True, "include_prompt": True})
    answer(folder)

    def extra(out):
        out.add_rope_freq_base(10000.0), out.add_bos_token_id(end), out.add_eos_token_id(end), out.add_add_eos_token(True), out.add_add_bos_token(False)

    write_gguf("tiny-qwen3-embedder-gguf", "qwen3", model, tokenizer, gguf.PoolingType.LAST, extra)


def gemma():
    tokenizer, settings = gemma_tokenizer()
    config = t.Gemma3TextConfig(**SIZES, num_hidden_layers=7, num_key_value_heads=1, vocab_size=tokenizer.get_vocab_size(), query_pre_attn_scalar=16, sliding_window=12,
                                use_bidirectional_attention=True, bos_token_id=2, eos_token_id=1, pad_token_id=0)
    model = t.Gemma3ForCausalLM(config).float().eval()
    randomize(model, 2, 0)
    folder = save("tiny-gemma-embedder", model, tokenizer, settings, bare=True)
    modules(folder, "Transformer", "Pooling", "Dense", "Dense", "Normalize")
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
                                            "pooling_mode_mean_sqrt_len_tokens": False, "pooling_mode_weightedmean_tokens": False, "pooling_mode_lasttoken": False, "include_prompt": True})
    write(folder, "sentence_bert_config.json", {"max_seq_length": 48, "do_lower_case": False})
    from safetensors.torch import save_file
    generator, dense = torch.Generator().manual_seed(7), []
    for index, (out, inner) in ((2, (80, 32)), (3, (24, 80))):
        weight = torch.randn(out, inner, generator=generator) / inner**0.5
        dense.append((f"dense_{index}.weight", weight))
        write(folder, f"{index}_Dense/config.json", {"in_features": inner, "out_features": out, "bias": False, "activation_function": "torch.nn.modules.linear.Identity"})
        save_file({"linear.weight": weight}, os.path.join(folder, f"{index}_Dense", "model.safetensors"), {"format": "pt"})
    answer(folder)

    def extra(out):
        out.add_rope_freq_base(1e6), out.add_sliding_window(12), out.add_bos_token_id(2), out.add_eos_token_id(1), out.add_unk_token_id(3), out.add_pad_token_id(0)
        out.add_add_bos_token(True), out.add_add_eos_token(True), out.add_add_space_prefix(False)

    write_gguf("tiny-gemma-embedder-gguf", "gemma-embedding", model.model, tokenizer, gguf.PoolingType.MEAN, extra, dense)


torch.set_num_threads(1)
qwen()
gemma()
