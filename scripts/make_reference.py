#!/usr/bin/env python3
"""Makes small random models in the hub's layout with the answers of transformers.

    make_reference.py FOLDER [NAME …]

FOLDER/NAME/ gets config.json, the weights and expected.json (ids, positions, logits, greedy, margins). Each model
exercises one architecture or variant on sequences long enough to cross its window or its trained context. Equal versions of
torch and transformers give equal files. Needs torch and transformers.
"""

import argparse
import json
import pathlib
import shutil

import torch
import transformers

from reference import expected, randomize, telling, write_expected

SMALL = dict(vocab_size=256, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
             max_position_embeddings=512, bos_token_id=1, eos_token_id=2, pad_token_id=None)  # fmt: skip

def longrope(rotary, name=None):
    """Factors for heads of `rotary` rotated channels. Without a name as rope_parameters, with one as older files write it."""
    pairs = rotary // 2
    factors = dict(short_factor=[round(1 + 0.05 * i, 3) for i in range(pairs)], long_factor=[round(1 + 1.5 * i, 3) for i in range(pairs)])
    return dict(type=name, **factors) if name else dict(rope_type="longrope", rope_theta=10000.0, **factors)


# Class, configuration, and how the files are written: "dtype" of the weights, "shard" size, "legacy" keys that replace
# rope_parameters in config.json as older releases of transformers wrote them.
MODELS = {
    "llama-rope3": ("Llama", dict(rope_parameters=dict(rope_type="llama3", rope_theta=10000.0, factor=8.0, low_freq_factor=1.0,
                    high_freq_factor=4.0, original_max_position_embeddings=32)), {}),
    "llama-tied": ("Llama", dict(tie_word_embeddings=True, num_key_value_heads=4, rms_norm_eps=1e-5, eos_token_id=[2, 5]),
                   dict(dtype=torch.bfloat16, shard="100KB", legacy=dict(rope_theta=10000.0))),
    "llama-linear": ("Llama", dict(rope_parameters=dict(rope_type="linear", rope_theta=10000.0, factor=4.0)),
                     dict(legacy=dict(rope_theta=10000.0, rope_scaling=dict(type="linear", factor=4.0)))),
    "llama-yarn": ("Llama", dict(num_attention_heads=2, num_key_value_heads=1, rope_parameters=dict(rope_type="yarn", rope_theta=10000.0,
                   factor=4.0, original_max_position_embeddings=32)),
                   dict(legacy=dict(rope_theta=10000.0, rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=32)))),
    "mistral-window": ("Mistral", dict(sliding_window=16, head_dim=32), dict(dtype=torch.float16)),
    "qwen2": ("Qwen2", dict(num_hidden_layers=3), {}),
    "qwen3": ("Qwen3", dict(head_dim=32, tie_word_embeddings=True), {}),
    "gemma": ("Gemma", dict(head_dim=32, num_key_value_heads=1), {}),
    "gemma2": ("Gemma2", dict(head_dim=32, query_pre_attn_scalar=24, sliding_window=12, num_hidden_layers=3, attn_logit_softcapping=5.0,
               final_logit_softcapping=8.0), {}),
    "gemma3": ("Gemma3", dict(head_dim=32, num_key_value_heads=1, query_pre_attn_scalar=48, sliding_window=8, num_hidden_layers=7,
               intermediate_size=96), dict(dtype=torch.bfloat16)),
    "phi3-window": ("Phi3", dict(num_key_value_heads=4, sliding_window=16, eos_token_id=[2, 5]), dict(dtype=torch.bfloat16)),
    # Past the original context: all positions have the long factors. config.json as Phi-3.5 has it.
    "phi3-long": ("Phi3", dict(max_position_embeddings=512, original_max_position_embeddings=32, rope_parameters=longrope(16)),
                  dict(legacy=dict(rope_theta=10000.0, rope_scaling=longrope(16, "longrope")))),
    # Within it, and with a part of each head unrotated, as Phi-4-mini has it.
    "phi4-mini": ("Phi3", dict(max_position_embeddings=1024, original_max_position_embeddings=128, partial_rotary_factor=0.75,
                  tie_word_embeddings=True, rope_parameters=longrope(12)),
                  dict(legacy=dict(rope_theta=10000.0, partial_rotary_factor=0.75, rope_scaling=longrope(12, "longrope")))),
    "granite": ("Granite", dict(embedding_multiplier=12.0, residual_multiplier=0.22, attention_multiplier=0.015625, logits_scaling=8.0,
                rms_norm_eps=1e-5, rope_parameters=dict(rope_type="default", rope_theta=1e7)),
                dict(legacy=dict(rope_theta=1e7, rope_scaling=None))),
    "granite-tied": ("Granite", dict(tie_word_embeddings=True, num_key_value_heads=4, embedding_multiplier=3.0, residual_multiplier=0.5,
                     attention_multiplier=0.25, logits_scaling=0.5), {}),
}  # fmt: skip


def build(name, folder, seed):
    family, options, files = MODELS[name]
    text = "Text" if family == "Gemma3" else ""
    config = getattr(transformers, f"{family}{text}Config")(**{**SMALL, **options})
    model = getattr(transformers, f"{family}ForCausalLM")(config).float()
    randomize(model, seed, norm_offset=0 if family.startswith("Gemma") else 1)
    shutil.rmtree(folder, ignore_errors=True)
    model.to(files.get("dtype", torch.float32)).save_pretrained(folder, max_shard_size=files.get("shard", "50MB"))
    path = folder / "config.json"
    written = json.loads(path.read_text())
    written.pop("transformers_version", None)
    if "legacy" in files:
        written.pop("rope_parameters")
        written.update(files["legacy"])
    path.write_text(json.dumps(written, indent=1) + "\n")
    (folder / "generation_config.json").unlink(missing_ok=True)
    # The answers are those of the files, read back, not of the model in memory.
    read = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    answer = expected(read, seed)
    if not telling(answer):
        return build(name, folder, seed + 100)
    write_expected(folder / "expected.json", answer)
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{name}: {size} bytes, smallest margin {min(answer['margins'])}, {len(set(answer['greedy']))} distinct tokens, seed {seed}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("names", nargs="*", help="of " + ", ".join(MODELS))
    arguments = parser.parse_args()
    torch.set_num_threads(1)  # the same order of additions everywhere
    for number, name in enumerate(MODELS):
        if not arguments.names or name in arguments.names:
            build(name, arguments.folder / name, seed=number + 1)


if __name__ == "__main__":
    main()
