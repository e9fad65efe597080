#!/usr/bin/env python3
"""Random encoders of BERT's family with transformers' outputs on the same weights, for tests/engine/models.

usage: make_encoder_reference.py [OUT]     (default: tests/data/reference/encoders; needs torch and transformers)

A folder a case, in the hub's layout without a tokenizer, and expected.json:
  {"texts": [{"ids": […], "first_segment": n, "hidden": first and last row and the mean of all, "scores": […]}]}
Computed in f32 from the weights as they are stored.
"""
import json
import os
import sys

import torch
import transformers as t

OUT = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "data", "reference", "encoders")
SMALL = dict(vocab_size=96, hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80, max_position_embeddings=70,
             hidden_dropout_prob=0, attention_probs_dropout_prob=0)
DISTIL = dict(vocab_size=96, dim=48, n_layers=2, n_heads=4, hidden_dim=80, max_position_embeddings=70, dropout=0, attention_dropout=0)
LENGTHS = [(1, 0), (7, 3), (33, 20), (64, 0), (2, 1)]

CASES = {
    "bert": (t.BertModel, t.BertConfig(**SMALL), torch.float32),
    "bert-f16": (t.BertModel, t.BertConfig(**SMALL), torch.float16),
    "bert-tanh-gelu": (t.BertModel, t.BertConfig(**SMALL, hidden_act="gelu_new", layer_norm_eps=1e-5), torch.float32),
    "bert-classifier": (t.BertForSequenceClassification, t.BertConfig(**SMALL, num_labels=3), torch.float32),
    "xlm-roberta-reranker": (t.XLMRobertaForSequenceClassification,
                             t.XLMRobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1, num_labels=1), torch.float32),
    "roberta": (t.RobertaModel, t.RobertaConfig(**SMALL, type_vocab_size=1, pad_token_id=1), torch.float32),
    "distilbert-classifier": (t.DistilBertForSequenceClassification, t.DistilBertConfig(**DISTIL, num_labels=2), torch.float32),
}


def round6(values):
    return [round(float(v), 6) for v in values]


def main():
    for number, (name, (kind, config, dtype)) in enumerate(CASES.items()):
        torch.manual_seed(number)
        config.architectures = [kind.__name__]
        model = kind(config).eval()
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.normal_(0, 0.3 if parameter.dim() > 1 else 0.2)
            for module in model.modules():
                if isinstance(module, torch.nn.LayerNorm):
                    module.weight.add_(1)
            model.to(dtype).to(torch.float32)
        folder = os.path.join(OUT, name)
        model.to(dtype).save_pretrained(folder)
        model = model.to(torch.float32)
        generator = torch.Generator().manual_seed(100 + number)
        texts = []
        base = getattr(model, model.base_model_prefix, model)
        for length, first_segment in LENGTHS:
            # Ids from 4 on: RoBERTa takes 1 for padding, which has no position.
            ids = torch.randint(4, config.vocab_size, (1, length), generator=generator)
            inputs = {"input_ids": ids}
            segments = first_segment if getattr(config, "type_vocab_size", 0) > 1 else 0
            if segments:
                inputs["token_type_ids"] = (torch.arange(length) >= segments).long()[None]
            with torch.no_grad():
                hidden = base(**inputs).last_hidden_state[0]
                text = {"ids": ids[0].tolist(), "first_segment": segments, "first": round6(hidden[0]), "last": round6(hidden[-1]), "mean": round6(hidden.mean(0))}
                if kind.__name__.endswith("Classification"):
                    text["scores"] = round6(model(**inputs).logits[0])
            texts.append(text)
        with open(os.path.join(folder, "expected.json"), "w", encoding="utf-8") as out:
            json.dump({"texts": texts}, out, separators=(",", ":"))
            out.write("\n")


main()
