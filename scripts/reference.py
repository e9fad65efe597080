"""What the two scripts that make reference files share: random weights and the answers of transformers."""

import json

import torch

PROMPT_TOKENS, ANSWER_TOKENS, LAST = 48, 24, 8


def randomize(model, seed, norm_offset):
    """Weights that make a small model's attention and logits lively: default initialisation leaves attention nearly
    uniform, and a fault in it unseen. `norm_offset`: 1, or 0 where the norm computes (1 + w)."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            noise = torch.randn(tensor.shape, generator=generator, dtype=torch.float32)
            if name.endswith("norm.weight") or "layernorm" in name:
                tensor.copy_(norm_offset + 0.2 * noise)
            elif name.endswith("bias"):
                tensor.copy_(0.3 * noise)
            elif "embed_tokens" in name or "lm_head" in name:
                # A tied table must be small beside what the layers add, or each token only predicts itself.
                tensor.copy_(noise * ((0.4 if model.config.tie_word_embeddings else 3.0) / tensor.shape[1] ** 0.5))
            else:
                gain = 1.6 if "q_proj" in name or "k_proj" in name or "qkv_proj" in name else 3.0 if "o_proj" in name or "down_proj" in name else 1.0
                tensor.copy_(noise * (gain / tensor.shape[1] ** 0.5))


def expected(model, seed):
    """Logits after a random prompt and the greedy continuation, computed in f64 (transformers itself keeps norms, rotary
    angles and softmax in f32). Every step runs the whole sequence: no cache, nothing approximate."""
    model = model.double().eval()
    generator = torch.Generator().manual_seed(seed + 1000)
    ids = torch.randint(3, model.config.vocab_size, (PROMPT_TOKENS,), generator=generator).tolist()

    def logits(tokens):
        with torch.no_grad():
            return model(torch.tensor([tokens]), use_cache=False).logits[0].double()

    positions = [0, *range(PROMPT_TOKENS - LAST, PROMPT_TOKENS)]
    rows = logits(ids)
    greedy, margins = [], []
    for _ in range(ANSWER_TOKENS):
        top = torch.topk(logits(ids + greedy)[-1], 2)
        greedy.append(int(top.indices[0]))
        margins.append(round(float(top.values[0] - top.values[1]), 5))
    return {
        "ids": ids,
        "positions": positions,
        "logits": [[float(f"{value:.7g}") for value in rows[p].tolist()] for p in positions],
        "greedy": greedy,
        "margins": margins,
    }


def telling(answer):
    """Whether the greedy tokens can tell a right engine from a wrong one: no near-tie, no dull repetition."""
    return min(answer["margins"]) >= 0.01 and len(set(answer["greedy"])) >= 10


def write_expected(path, answer):
    """One logits row a line, so that changes show in a diff."""
    rows = ",\n".join("  " + json.dumps(row) for row in answer["logits"])
    plain = ",\n".join(f' "{key}": {json.dumps(value)}' for key, value in answer.items() if key != "logits")
    path.write_text('{\n' + plain + ',\n "logits": [\n' + rows + "\n ]\n}\n")
