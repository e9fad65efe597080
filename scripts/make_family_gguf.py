#!/usr/bin/env python3
"""Makes one small GGUF file for each family whose files differ from Llama's, with the answers of transformers.

    make_family_gguf.py FOLDER [NAME …]

FOLDER gets NAME.gguf and NAME.json (as quantize_reference.py's). Keys and tensors are those that llama.cpp's
convert_hf_to_gguf.py writes: Phi 3's fused tensors whole and its LongRoPE factors as tensors, Granite's multipliers as keys
and its q and k permuted as Llama's. The answers are those of the dequantised weights.
Needs gguf, numpy, torch and transformers.
"""

import argparse
import math
import pathlib

import gguf
import numpy as np
import torch
import transformers
from gguf import GGMLQuantizationType as T

from make_reference import MODELS, SMALL
from quantize_reference import NAMES, gguf_name, permuted, quantise, unpermuted
from reference import expected, randomize, telling, write_expected

NAMES.update({"self_attn.qkv_proj": "attn_qkv", "mlp.gate_up_proj": "ffn_up"})

# File: the model of make_reference.py, GGUF's architecture, the storage type of matrices.
FILES = {
    "phi3-q8_0": ("phi3-long", "phi3", T.Q8_0),
    "phi4-mini-f16": ("phi4-mini", "phi3", T.F16),
    "granite-q8_0": ("granite", "granite", T.Q8_0),
}


def write_phi3(writer, config):
    rope = config.rope_parameters
    original = config.original_max_position_embeddings
    writer.add_rope_dimension_count(int(rope["partial_rotary_factor"] * config.hidden_size) // config.num_attention_heads)
    writer.add_rope_scaling_orig_ctx_len(original)
    writer.add_sliding_window(config.sliding_window or 0)
    scale = config.max_position_embeddings / original
    writer.add_rope_scaling_attn_factors(math.sqrt(1 + math.log(scale) / math.log(original)))
    for kind in ("long", "short"):
        writer.add_tensor(f"rope_factors_{kind}.weight", np.array(rope[f"{kind}_factor"], dtype=np.float32))


def write_granite(writer, config):
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_attention_scale(config.attention_multiplier)
    writer.add_embedding_scale(config.embedding_multiplier)
    writer.add_residual_scale(config.residual_multiplier)
    writer.add_logit_scale(config.logits_scaling)


def build(name, folder, seed):
    source, architecture, kind = FILES[name]
    family, options, _ = MODELS[source]
    config = getattr(transformers, f"{family}Config")(**{**SMALL, **options})
    model = getattr(transformers, f"{family}ForCausalLM")._from_config(config, attn_implementation="eager", dtype=torch.float32)
    randomize(model, seed, norm_offset=1)
    path = folder / f"{name}.gguf"
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name(f"random {family}, {kind.name}")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(config.vocab_size)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    {"phi3": write_phi3, "granite": write_granite}[architecture](writer, config)
    with torch.no_grad():
        for hub_name, tensor in model.named_parameters():
            values = tensor.numpy().copy()
            if values.ndim == 1:
                writer.add_tensor(gguf_name(hub_name), values)
                continue
            heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}.get(hub_name.split(".")[-2])
            values = permuted(values, heads) if heads else values
            stored = values.astype(np.float16) if kind == T.F16 else quantise(values, kind)
            writer.add_tensor(gguf_name(hub_name), stored, raw_dtype=kind)
            back = stored.astype(np.float32) if kind == T.F16 else gguf.quants.dequantize(stored, kind).reshape(values.shape)
            tensor.copy_(torch.from_numpy((unpermuted(back, heads) if heads else back).copy()))
    answer = expected(model, seed)
    if not telling(answer):
        writer.close()
        return build(name, folder, seed + 100)
    answer["table"] = model.model.embed_tokens.weight.detach().flatten()[:512].tolist()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    write_expected(path.with_suffix(".json"), answer)
    print(f"{name}: {path.stat().st_size} bytes, smallest margin {min(answer['margins'])}, seed {seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="of " + ", ".join(FILES))
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for number, name in enumerate(FILES):
        if not arguments.names or name in arguments.names:
            build(name, arguments.folder, seed=number + 1)


if __name__ == "__main__":
    main()
