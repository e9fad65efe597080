#!/usr/bin/env python3
"""Writes the catalogue's data files from Cloudflare's published model descriptions.

usage: make_catalogue.py REFERENCE [OUT]

REFERENCE holds catalogue.csv (id, dates, prices) and workers-ai-models/*.json (one published description
a model, CC-BY-4.0, Cloudflare, Inc.); OUT is the project's catalogue/ folder (default: the one beside this
script). What the publisher does not say (architecture, public weights, licence, size) is the table below.
The models that are Verge's own (@verge/...) are written by hand and left alone.
"""
import csv
import hashlib
import json
import os
import re
import sys
import uuid

# id: (architecture, public weights on the hub, parameters, licence)
LLAMA2, LLAMA3, LLAMA31, LLAMA32, LLAMA33, LLAMA4 = "llama2", "llama3", "llama3.1", "llama3.2", "llama3.3", "llama4"
APACHE, MIT, GEMMA = "apache-2.0", "mit", "gemma"
MODELS = {
    "@cf/meta/llama-3.2-1b-instruct": ("llama", "meta-llama/Llama-3.2-1B-Instruct", 1235814400, LLAMA32),
    "@cf/meta/llama-3.2-3b-instruct": ("llama", "meta-llama/Llama-3.2-3B-Instruct", 3212749824, LLAMA32),
    "@cf/meta/llama-3.2-11b-vision-instruct": ("mllama", "meta-llama/Llama-3.2-11B-Vision-Instruct", 10670220835, LLAMA32),
    "@cf/meta/llama-3.1-8b-instruct": ("llama", "meta-llama/Llama-3.1-8B-Instruct", 8030261248, LLAMA31),
    "@cf/meta/llama-3.1-8b-instruct-awq": ("llama", "meta-llama/Llama-3.1-8B-Instruct", 8030261248, LLAMA31),
    "@cf/meta/llama-3.1-8b-instruct-fast": ("llama", "meta-llama/Llama-3.1-8B-Instruct", 8030261248, LLAMA31),
    "@cf/meta/llama-3.1-8b-instruct-fp8": ("llama", "meta-llama/Llama-3.1-8B-Instruct", 8030261248, LLAMA31),
    "@cf/meta/llama-3.1-8b-instruct-fp8-fast": ("llama", "meta-llama/Llama-3.1-8B-Instruct", 8030261248, LLAMA31),
    "@cf/meta/llama-3.1-70b-instruct": ("llama", "meta-llama/Llama-3.1-70B-Instruct", 70553706496, LLAMA31),
    "@cf/meta/llama-3.1-70b-instruct-fp8-fast": ("llama", "meta-llama/Llama-3.1-70B-Instruct", 70553706496, LLAMA31),
    "@cf/meta/llama-3.3-70b-instruct-fp8-fast": ("llama", "meta-llama/Llama-3.3-70B-Instruct", 70553706496, LLAMA33),
    "@cf/meta/llama-3-8b-instruct": ("llama", "meta-llama/Meta-Llama-3-8B-Instruct", 8030261248, LLAMA3),
    "@cf/meta/llama-3-8b-instruct-awq": ("llama", "meta-llama/Meta-Llama-3-8B-Instruct", 8030261248, LLAMA3),
    "@hf/meta-llama/meta-llama-3-8b-instruct": ("llama", "meta-llama/Meta-Llama-3-8B-Instruct", 8030261248, LLAMA3),
    "@cf/meta/llama-2-7b-chat-fp16": ("llama", "meta-llama/Llama-2-7b-chat-hf", 6738415616, LLAMA2),
    "@cf/meta/llama-2-7b-chat-int8": ("llama", "meta-llama/Llama-2-7b-chat-hf", 6738415616, LLAMA2),
    "@cf/meta-llama/llama-2-7b-chat-hf-lora": ("llama", "meta-llama/Llama-2-7b-chat-hf", 6738415616, LLAMA2),
    "@hf/thebloke/llama-2-13b-chat-awq": ("llama", "meta-llama/Llama-2-13b-chat-hf", 13015864320, LLAMA2),
    "@cf/meta/llama-4-scout-17b-16e-instruct": ("llama4", "meta-llama/Llama-4-Scout-17B-16E-Instruct", 108641793536, LLAMA4),
    "@cf/meta/llama-guard-3-8b": ("llama", "meta-llama/Llama-Guard-3-8B", 8030261248, LLAMA31),
    "@hf/thebloke/llamaguard-7b-awq": ("llama", "meta-llama/LlamaGuard-7b", 6738415616, LLAMA2),
    "@cf/tinyllama/tinyllama-1.1b-chat-v1.0": ("llama", "TinyLlama/TinyLlama-1.1B-Chat-v1.0", 1100048384, APACHE),
    "@cf/defog/sqlcoder-7b-2": ("llama", "defog/sqlcoder-7b-2", 6738546688, "cc-by-sa-4.0"),
    "@cf/mistral/mistral-7b-instruct-v0.1": ("mistral", "mistralai/Mistral-7B-Instruct-v0.1", 7241732096, APACHE),
    "@cf/mistral/mistral-7b-instruct-v0.2-lora": ("mistral", "mistralai/Mistral-7B-Instruct-v0.2", 7241732096, APACHE),
    "@hf/mistral/mistral-7b-instruct-v0.2": ("mistral", "mistralai/Mistral-7B-Instruct-v0.2", 7241732096, APACHE),
    "@hf/thebloke/mistral-7b-instruct-v0.1-awq": ("mistral", "mistralai/Mistral-7B-Instruct-v0.1", 7241732096, APACHE),
    "@cf/mistralai/mistral-small-3.1-24b-instruct": ("mistral", "mistralai/Mistral-Small-3.1-24B-Instruct-2503", 24011361280, APACHE),
    "@hf/nousresearch/hermes-2-pro-mistral-7b": ("mistral", "NousResearch/Hermes-2-Pro-Mistral-7B", 7241994240, APACHE),
    "@hf/thebloke/openhermes-2.5-mistral-7b-awq": ("mistral", "teknium/OpenHermes-2.5-Mistral-7B", 7241748480, APACHE),
    "@hf/thebloke/zephyr-7b-beta-awq": ("mistral", "HuggingFaceH4/zephyr-7b-beta", 7241732096, MIT),
    "@cf/qwen/qwen1.5-0.5b-chat": ("qwen2", "Qwen/Qwen1.5-0.5B-Chat", 463987712, "tongyi-qianwen-research"),
    "@cf/qwen/qwen1.5-1.8b-chat": ("qwen2", "Qwen/Qwen1.5-1.8B-Chat", 1836828672, "tongyi-qianwen-research"),
    "@cf/qwen/qwen1.5-7b-chat-awq": ("qwen2", "Qwen/Qwen1.5-7B-Chat", 7721324544, "tongyi-qianwen"),
    "@cf/qwen/qwen1.5-14b-chat-awq": ("qwen2", "Qwen/Qwen1.5-14B-Chat", 14167290880, "tongyi-qianwen"),
    "@cf/qwen/qwen2.5-coder-32b-instruct": ("qwen2", "Qwen/Qwen2.5-Coder-32B-Instruct", 32763876352, APACHE),
    "@cf/qwen/qwq-32b": ("qwen2", "Qwen/QwQ-32B", 32763876352, APACHE),
    "@cf/qwen/qwen3-30b-a3b-fp8": ("qwen3_moe", "Qwen/Qwen3-30B-A3B", 30532122624, APACHE),
    "@cf/qwen/qwen3.8-27b": ("qwen3_8", "Qwen/Qwen3.8-27B", 27000000000, APACHE),
    "@cf/deepseek-ai/deepseek-r1-distill-qwen-32b": ("qwen2", "deepseek-ai/DeepSeek-R1-Distill-Qwen-32B", 32763876352, MIT),
    "@cf/google/gemma-2b-it-lora": ("gemma", "google/gemma-2b-it", 2506172416, GEMMA),
    "@cf/google/gemma-7b-it-lora": ("gemma", "google/gemma-7b-it", 8537680896, GEMMA),
    "@hf/google/gemma-7b-it": ("gemma", "google/gemma-7b-it", 8537680896, GEMMA),
    "@cf/google/gemma-3-12b-it": ("gemma3", "google/gemma-3-12b-it", 12187325040, GEMMA),
    "@cf/google/gemma-4-26b-a4b-it": ("gemma4", "google/gemma-4-26B-A4B-it", 26000000000, APACHE),
    "@cf/aisingapore/gemma-sea-lion-v4-27b-it": ("gemma3", "aisingapore/Gemma-SEA-LION-v4-27B-IT", 27432406640, GEMMA),
}
# id: (task, architecture, public weights on the hub, parameters, licence)
ENCODERS = {
    "@cf/baai/bge-small-en-v1.5": ("text-embeddings", "bert", "BAAI/bge-small-en-v1.5", 33360000, MIT),
    "@cf/baai/bge-base-en-v1.5": ("text-embeddings", "bert", "BAAI/bge-base-en-v1.5", 109482240, MIT),
    "@cf/baai/bge-large-en-v1.5": ("text-embeddings", "bert", "BAAI/bge-large-en-v1.5", 335141888, MIT),
    "@cf/baai/bge-m3": ("text-embeddings", "xlm-roberta", "BAAI/bge-m3", 567754752, MIT),
    "@cf/qwen/qwen3-embedding-0.6b": ("text-embeddings", "qwen3", "Qwen/Qwen3-Embedding-0.6B", 595776512, APACHE),
    "@cf/google/embeddinggemma-300m": ("text-embeddings", "gemma3_text", "google/embeddinggemma-300m", 307581696, GEMMA),
    "@cf/baai/bge-reranker-base": ("text-classification", "xlm-roberta", "BAAI/bge-reranker-base", 278044417, MIT),
    "@cf/huggingface/distilbert-sst-2-int8": ("text-classification", "distilbert", "distilbert/distilbert-base-uncased-finetuned-sst-2-english",
                                              66955010, APACHE),
}
# Embedders share a schema named after the task; the other names say what sets them apart.
ENCODER_SCHEMAS = {"@cf/baai/bge-small-en-v1.5": "text-embeddings", "@cf/baai/bge-m3": "text-embeddings-bge-m3",
                   "@cf/qwen/qwen3-embedding-0.6b": "text-embeddings-qwen3", "@cf/google/embeddinggemma-300m": "text-embeddings-gemma",
                   "@cf/huggingface/distilbert-sst-2-int8": "text-classification-sentiment", "@cf/baai/bge-reranker-base": "text-classification-reranker"}
# The same for models that look at pictures.
IMAGE_MODELS = {
    "@cf/microsoft/resnet-50": ("image-classification", "resnet", "microsoft/resnet-50", 25557032, APACHE),
    "@cf/facebook/detr-resnet-50": ("object-detection", "detr", "facebook/detr-resnet-50", 41524768, APACHE),
}
# Voices, whose weights are not public: (licence).
VOICES = {"@cf/myshell-ai/melotts": MIT, "@cf/deepgram/aura-1": "", "@cf/deepgram/aura-2-en": "", "@cf/deepgram/aura-2-es": ""}
# Ids that were priced or shown without a description of their own: take the rest from a sibling.
SIBLING = {
    "@cf/meta/llama-3.1-8b-instruct-fp8-fast": "@cf/meta/llama-3.1-8b-instruct-fast",
    "@cf/meta/llama-3.1-70b-instruct-fp8-fast": "@cf/meta/llama-3.1-70b-instruct",
    "@cf/qwen/qwen3.8-27b": "@cf/google/gemma-4-26b-a4b-it",
}
# Models whose native route answers in OpenAI's shape.
OPENAI_SHAPED = {"@cf/qwen/qwen3-30b-a3b-fp8", "@cf/aisingapore/gemma-sea-lion-v4-27b-it", "@cf/google/gemma-4-26b-a4b-it",
                 "@cf/qwen/qwen3.8-27b"}
# Window of models that left the published catalogue: that of the public weights.
WINDOW = {"@cf/tinyllama/tinyllama-1.1b-chat-v1.0": 2048, "@hf/thebloke/llama-2-13b-chat-awq": 4096, "@hf/thebloke/llamaguard-7b-awq": 4096,
          "@hf/thebloke/mistral-7b-instruct-v0.1-awq": 4096, "@hf/thebloke/openhermes-2.5-mistral-7b-awq": 4096,
          "@hf/thebloke/zephyr-7b-beta-awq": 4096, "@cf/qwen/qwen1.5-0.5b-chat": 32000, "@cf/qwen/qwen1.5-1.8b-chat": 32000,
          "@cf/qwen/qwen1.5-7b-chat-awq": 20000, "@cf/qwen/qwen1.5-14b-chat-awq": 7500}
# The schema that a task's models share is named after the task; the others after what sets them apart.
SCHEMA_NAMES = {"@cf/meta/llama-3.2-1b-instruct": "text-generation", "@cf/google/gemma-3-12b-it": "text-generation-gemma-3",
                "@cf/google/gemma-4-26b-a4b-it": "text-generation-openai", "@cf/qwen/qwen3-30b-a3b-fp8": "text-generation-qwen3",
                "@cf/meta/llama-3.1-8b-instruct-fast": "text-generation-llama-3.1-fast",
                "@cf/meta/llama-3.1-8b-instruct": "text-generation-llama-3.1",
                "@cf/meta/llama-3.2-11b-vision-instruct": "text-generation-llama-3.2-vision",
                "@cf/meta/llama-3.3-70b-instruct-fp8-fast": "text-generation-llama-3.3",
                "@cf/meta/llama-4-scout-17b-16e-instruct": "text-generation-llama-4",
                "@cf/meta/llama-guard-3-8b": "text-generation-llama-guard-3",
                "@hf/meta-llama/meta-llama-3-8b-instruct": "text-generation-llama-3",
                "@cf/mistralai/mistral-small-3.1-24b-instruct": "text-generation-mistral-small"}


def without_prose(value):
    """A schema without titles and descriptions: two models with equal ones share a file."""
    if isinstance(value, dict):
        return {k: without_prose(v) for k, v in value.items() if not (k in ("title", "description") and isinstance(v, str))}
    if isinstance(value, list):
        return [without_prose(v) for v in value]
    return value


def merged(value):
    """The publisher's {"merge": {"source": a, "with": b}}, which some files still hold, worked out."""
    if isinstance(value, dict):
        if set(value) == {"merge"} and set(value["merge"]) == {"source", "with"}:
            return merged({**value["merge"]["source"], **value["merge"]["with"]})
        return {k: merged(v) for k, v in value.items()}
    if isinstance(value, list):
        return [merged(v) for v in value]
    return value


def key(schema):
    return hashlib.sha256(json.dumps(without_prose(schema), sort_keys=True).encode()).hexdigest()


def write(path, value):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as out:
        json.dump(value, out, indent=1, ensure_ascii=False)
        out.write("\n")


def file_name(model_id):
    return re.sub(r"[^a-z0-9.]+", "-", model_id.lower()).strip("-") + ".json"


def top_level_defaults(schema):
    """Parameter defaults of the first branch that has properties: what a request without them gets."""
    branch = schema
    while "properties" not in branch:
        branch = (branch.get("oneOf") or branch.get("anyOf"))[0]
    return {k: v["default"] for k, v in branch["properties"].items() if isinstance(v, dict) and v.get("default") is not None}


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    reference = sys.argv[1]
    out = sys.argv[2] if len(sys.argv) == 3 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "catalogue")
    rows = {r["id"]: r for r in csv.DictReader(open(os.path.join(reference, "catalogue.csv"), encoding="utf-8"))}
    published, folder = {}, os.path.join(reference, "workers-ai-models")
    for name in sorted(os.listdir(folder)):
        if name.endswith(".json"):
            model = json.load(open(os.path.join(folder, name), encoding="utf-8"))
            if "schema" in model:
                model["schema"] = merged(model["schema"])
            published[model["name"]] = model

    schemas = {}
    for model_id, name in SCHEMA_NAMES.items():
        schema = published[model_id]["schema"]
        if schemas.setdefault(key(schema), name) == name:
            write(os.path.join(out, "schemas", name + ".json"), schema)

    for model_id, (architecture, hub, parameters, licence) in MODELS.items():
        row = rows.get(model_id, {})
        own = published.get(model_id)
        model = own or published.get(SIBLING.get(model_id, ""), {})
        schema = model.get("schema") or published["@cf/meta/llama-3.2-1b-instruct"]["schema"]
        published_properties = {p["property_id"]: p["value"] for p in model.get("properties", [])} if model_id != "@cf/qwen/qwen3.8-27b" else {}
        prices = [{"unit": p["unit"], "usd": p["price"]} for p in published_properties.pop("price", [])]
        if any(row.get(c) for c in ("price_in_usd_per_m", "price_out_usd_per_m")):
            prices = []  # the price list has more digits than the description
            for column, unit in (("price_in_usd_per_m", "per M input tokens"), ("price_cached_in_usd_per_m", "per M cached input tokens"),
                                 ("price_out_usd_per_m", "per M output tokens")):
                if row.get(column):
                    prices.append({"unit": unit, "usd": float(row[column])})
        window = int(row.get("context_window") or published_properties.get("context_window") or WINDOW[model_id])
        published_properties.pop("context_window", None)
        deprecated = row.get("planned_deprecation_date") or published_properties.get("planned_deprecation_date", "")
        if not own and row.get("function_calling") == "true":
            published_properties |= {"function_calling": "true", "reasoning": "true", "vision": "true", "async_queue": "true"}
        entry = {
            "id": model_id,
            "uuid": (own or {}).get("id") or row.get("uuid") or str(uuid.uuid5(uuid.NAMESPACE_URL, "https://verge.invalid/" + model_id)),
            "task": "text-generation",
            "description": (own or {}).get("description") or f"{hub.split('/')[1]}, weights of {hub.split('/')[0]}",
            "architecture": architecture,
            "licence": licence,
            "created_at": (own or {}).get("created_at") or row.get("created_at") or "2023-09-25 00:00:00.000",
        }
        if deprecated:
            entry["deprecated_on"] = deprecated
        entry |= {"sources": [{"hub": hub}], "context_tokens": window, "parameters": parameters, "prices": prices}
        if (own or {}).get("tags"):
            entry["tags"] = own["tags"]
        published_properties.pop("planned_deprecation_date", None)
        if published_properties:
            entry["properties"] = published_properties
        defaults = {k: v for k, v in top_level_defaults(schema["input"]).items() if k in ("max_tokens", "temperature")}
        if defaults != {"max_tokens": 256, "temperature": 0.6}:
            entry["defaults"] = defaults if "max_tokens" in defaults else {"max_tokens": None, **defaults}
        if model_id in OPENAI_SHAPED:
            entry["answer_shape"] = "openai"
        name = schemas[key(schema)]
        if name != "text-generation":
            entry["schema"] = name
        write(os.path.join(out, file_name(model_id)), entry)

    encoder_schemas = {}
    for model_id, name in ENCODER_SCHEMAS.items():
        own = published[model_id]
        encoder_schemas[key(own["schema"])] = name
        write(os.path.join(out, "schemas", name + ".json"), own["schema"])
    for model_id, (task, architecture, hub, parameters, licence) in ENCODERS.items():
        own = published[model_id]
        write(os.path.join(out, "tasks", task + ".json"), {"task": task} | {k: own["task"][k] for k in ("id", "name", "description")})
        properties = {p["property_id"]: p["value"] for p in own.get("properties", [])}
        prices = [{"unit": p["unit"], "usd": p["price"]} for p in properties.pop("price", [])]
        window = properties.pop("context_window", None)
        entry = {"id": model_id, "uuid": own["id"], "task": task, "description": own["description"].strip(), "architecture": architecture,
                 "licence": licence, "created_at": own["created_at"], "sources": [{"hub": hub}],
                 "parameters": parameters, "prices": prices}
        if window:
            entry["context_tokens"] = int(window)
        if properties:
            entry["properties"] = properties
        if own["schema"]["input"].get("oneOf") and "pooling" in own["schema"]["input"]["oneOf"][0]["properties"]:
            entry["defaults"] = {"pooling": "mean"}
        if model_id == "@cf/baai/bge-m3":
            entry["defaults"] = {"truncate_inputs": False}
        if encoder_schemas[key(own["schema"])] != task:
            entry["schema"] = encoder_schemas[key(own["schema"])]
        write(os.path.join(out, file_name(model_id)), entry)

    for model_id, licence in VOICES.items():
        own = published[model_id]
        properties = {p["property_id"]: p["value"] for p in own.get("properties", [])}
        prices = [{"unit": p["unit"], "usd": p["price"]} for p in properties.pop("price", [])]
        entry = {"id": model_id, "uuid": own["id"], "task": "text-to-speech", "description": own["description"]}
        entry |= ({"licence": licence} if licence else {}) | {"created_at": own["created_at"], "prices": prices, "properties": properties,
                                                              "schema": own["schema"]}
        write(os.path.join(out, file_name(model_id)), entry)

    for model_id, (task, architecture, hub, parameters, licence) in IMAGE_MODELS.items():
        own = published[model_id]
        write(os.path.join(out, "schemas", task + ".json"), own["schema"])
        write(os.path.join(out, "tasks", task + ".json"),
              {"task": task, "id": own["task"]["id"], "name": own["task"]["name"], "description": own["task"]["description"]})
        properties = {p["property_id"]: p["value"] for p in own.get("properties", [])}
        prices = [{"unit": p["unit"], "usd": p["price"]} for p in properties.pop("price", [])]
        entry = {"id": model_id, "uuid": own["id"], "task": task, "description": own["description"], "architecture": architecture, "licence": licence,
                 "created_at": own["created_at"], "sources": [{"hub": hub}], "parameters": parameters, "prices": prices}
        if properties:
            entry["properties"] = properties
        write(os.path.join(out, file_name(model_id)), entry)


main()
