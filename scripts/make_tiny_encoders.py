#!/usr/bin/env python3
"""Whole tiny encoders, tokenizer included, with the answers of Hugging Face's libraries: tests/data/models/tiny-*.

usage: make_tiny_encoders.py [OUT]     (default: tests/data/models; needs torch, transformers, tokenizers and gguf)

tiny-embedder     BERT (also as tiny-embedder-gguf/tiny.gguf and, torch's file alone, as tiny-embedder-torch), mean pooling and Normalize as sentence-transformers writes them; expected.json: vectors of texts
tiny-classifier   DistilBERT with two labels; expected.json: softmax of texts
tiny-reranker     BERT with one label; expected.json: sigmoid of (query, text), pairs cut "longest_first"
"""
import json
import os
import shutil
import sys

import gguf
import tokenizers
import torch
import transformers as t

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "models")
WORDS = "the a cat dog sat on mat river stone green tea is good bad film it was love hate paper garden window ##s ##ing ##ed ##ly".split()
LETTERS = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789.,!?'-") + list("äöüéß日本")
VOCABULARY = list(dict.fromkeys(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"] + WORDS + LETTERS + ["##" + c for c in LETTERS[:26]]))
TEXTS = ["The cat sat on the mat.", "Dogs loved the green tea!", "日本 über café", "It was a bad film", "river " * 60]
QUERY = "is the film good?"
BERT = dict(vocab_size=len(VOCABULARY), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, max_position_embeddings=40)
DISTIL = dict(vocab_size=len(VOCABULARY), dim=32, n_layers=2, n_heads=2, hidden_dim=64, max_position_embeddings=40)


def make_tokenizer(folder):
    ids = {token: i for i, token in enumerate(VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(tokenizers.models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = tokenizers.processors.TemplateProcessing(single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1",
                                                                       special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    tokenizer.decoder = tokenizers.decoders.WordPiece()
    fast = t.PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="[UNK]", sep_token="[SEP]", pad_token="[PAD]", cls_token="[CLS]",
                                     mask_token="[MASK]", model_max_length=40)
    fast.save_pretrained(folder)
    return fast


def make(name, kind, config, seed):
    torch.manual_seed(seed)
    config.architectures = [kind.__name__]
    model = kind(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
        for module in model.modules():
            if isinstance(module, torch.nn.LayerNorm):
                module.weight.add_(1)
    folder = os.path.join(OUT, name)
    model.save_pretrained(folder)
    return model, make_tokenizer(folder), folder


def write(folder, name, value):
    os.makedirs(os.path.dirname(os.path.join(folder, name)), exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
        json.dump(value, out, ensure_ascii=False)
        out.write("\n")


GGUF_NAMES = {"embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd", "embeddings.token_type_embeddings": "token_types",
              "embeddings.LayerNorm": "token_embd_norm", "attention.self.query": "attn_q", "attention.self.key": "attn_k", "attention.self.value": "attn_v",
              "attention.output.dense": "attn_output", "attention.output.LayerNorm": "attn_output_norm", "intermediate.dense": "ffn_up",
              "output.dense": "ffn_down", "output.LayerNorm": "layer_output_norm"}


def write_gguf(model, path):
    """As llama.cpp's converter writes BERT: tokens that begin a word get U+2581, "##" goes."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    out, c = gguf.GGUFWriter(path, "bert"), model.config
    out.add_block_count(c.num_hidden_layers)
    out.add_context_length(c.max_position_embeddings)
    out.add_embedding_length(c.hidden_size)
    out.add_feed_forward_length(c.intermediate_size)
    out.add_head_count(c.num_attention_heads)
    out.add_layer_norm_eps(c.layer_norm_eps)
    out.add_causal_attention(False)
    out.add_pooling_type(gguf.PoolingType.MEAN)
    out.add_tokenizer_model("bert")
    out.add_tokenizer_pre("default")
    out.add_token_list([v if i < 5 else v[2:] if v.startswith("##") else "\u2581" + v for i, v in enumerate(VOCABULARY)])
    out.add_token_types([3 if i < 5 else 1 for i in range(len(VOCABULARY))])
    out.add_token_type_count(c.type_vocab_size)
    out.add_pad_token_id(0), out.add_unk_token_id(1), out.add_uint32("tokenizer.ggml.cls_token_id", 2), out.add_sep_token_id(3), out.add_mask_token_id(4)
    for name, tensor in model.state_dict().items():
        stem, suffix = name.rsplit(".", 1)
        if stem.startswith("pooler") or suffix == "position_ids":
            continue
        if stem.startswith("encoder.layer."):
            _, _, index, part = stem.split(".", 3)
            name = f"blk.{index}.{GGUF_NAMES[part]}.{suffix}"
        else:
            name = f"{GGUF_NAMES[stem]}.{suffix}"
        out.add_tensor(name, tensor.numpy())
    out.write_header_to_file()
    out.write_kv_data_to_file()
    out.write_tensors_to_file()
    out.close()


def rounded(values):
    return [round(float(v), 6) for v in values]


def main():
    model, tokenizer, folder = make("tiny-embedder", t.BertModel, t.BertConfig(**BERT), 1)
    write(folder, "modules.json", [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                                   {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                                   {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}])
    write(folder, "1_Pooling/config.json", {"word_embedding_dimension": 32, "pooling_mode_cls_token": False, "pooling_mode_mean_tokens": True})
    write(folder, "sentence_bert_config.json", {"max_seq_length": 32, "do_lower_case": False})
    texts = []
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=32, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            hidden = model(**ids).last_hidden_state[0]
        texts.append({"text": text, "ids": ids["input_ids"][0].tolist(), "mean": rounded(torch.nn.functional.normalize(hidden.mean(0), dim=0)),
                      "cls": rounded(torch.nn.functional.normalize(hidden[0], dim=0))})
    write(folder, "expected.json", {"texts": texts})
    write_gguf(model, os.path.join(OUT, "tiny-embedder-gguf", "tiny.gguf"))
    torch_folder = os.path.join(OUT, "tiny-embedder-torch")
    shutil.copytree(folder, torch_folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("*.safetensors", "expected.json"))
    torch.save(model.state_dict(), os.path.join(torch_folder, "pytorch_model.bin"))

    model, tokenizer, folder = make("tiny-classifier", t.DistilBertForSequenceClassification,
                                    t.DistilBertConfig(**DISTIL, id2label={0: "NEGATIVE", 1: "POSITIVE"}, label2id={"NEGATIVE": 0, "POSITIVE": 1}), 2)
    rows = []
    for text in TEXTS:
        ids = tokenizer(text, truncation=True, max_length=40, return_tensors="pt", return_token_type_ids=False)
        with torch.no_grad():
            rows.append(rounded(model(**ids).logits[0].softmax(0)))
    write(folder, "expected.json", {"texts": TEXTS, "labels": ["NEGATIVE", "POSITIVE"], "scores": rows})

    model, tokenizer, folder = make("tiny-reranker", t.BertForSequenceClassification, t.BertConfig(**BERT, num_labels=1), 3)
    rows = []
    for text in TEXTS:
        ids = tokenizer(QUERY, text, truncation="longest_first", max_length=40, return_tensors="pt", return_token_type_ids=True)
        with torch.no_grad():
            rows.append(round(float(model(**ids).logits[0, 0].sigmoid()), 6))
    write(folder, "expected.json", {"query": QUERY, "texts": TEXTS, "scores": rows})


main()
