#!/usr/bin/env python3
"""Makes tests/data/reference/images: small image models with random weights, and what transformers and torchvision answer.

Needs torch, torchvision, transformers, Pillow. Each folder has the model's files, prepared.ppm (tests/data/images/picture.ppm
as the model's own processor, in its Pillow form, scales and crops it) and expected.json (outputs in f64).
"""
import json
import pathlib
import shutil

import numpy as np
import torch
import transformers
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parent.parent / "tests/data"
OUT = ROOT / "reference/images"
PICTURE = Image.open(ROOT / "images/picture.ppm")
LABELS = {i: f"class {i}" for i in range(12)}


def randomise(model, seed):
    """Random norms too: fresh ones are the identity and would hide a wrong fold."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
            if not tensor.dtype.is_floating_point:
                continue
            if name.endswith("running_var"):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
            elif tensor.dim() <= 1:
                base = 1.0 if ("norm" in name or "bn" in name or "downsample.1" in name) and name.endswith("weight") else 0.0
                tensor.copy_(base + 0.2 * torch.randn(tensor.shape, generator=generator))
            else:
                fan = tensor[0].numel()
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * (1.4 / fan**0.5))
    return model.eval()


def prepare(folder, kind):
    processor = kind.from_pretrained(folder)  # as preprocessor_config.json says
    raw = processor(PICTURE, do_rescale=False, do_normalize=False, return_tensors="np")["pixel_values"][0]
    array = np.asarray(raw)
    assert np.array_equal(array, array.round())
    Image.fromarray(array.astype(np.uint8).transpose(1, 2, 0)).save(folder / "prepared.ppm")
    return torch.tensor(np.asarray(processor(PICTURE, return_tensors="np")["pixel_values"][0]), dtype=torch.float64)[None]


def fresh(name):
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def hub(name, model, processor, settings, outputs, checkpoint=""):
    folder = fresh(name)
    model.save_pretrained(folder)
    if checkpoint:  # "zip" of today's torch.save, or the older "pickles"
        (folder / "model.safetensors").unlink()
        torch.save(model.state_dict(), folder / "pytorch_model.bin", _use_new_zipfile_serialization=checkpoint == "zip")
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    pixels = prepare(folder, processor)
    with torch.no_grad():
        answer = model.double()(pixel_values=pixels)
    expected = {key: getattr(answer, key)[0].tolist() for key in outputs}
    (folder / "expected.json").write_text(json.dumps(expected))
    print(name, {key: np.asarray(value).shape for key, value in expected.items()})


CONVNEXT = {"feature_extractor_type": "ConvNextFeatureExtractor", "crop_pct": 0.875, "do_normalize": True, "do_resize": True,
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "resample": 3, "size": 32}


def resnets():
    variants = {
        "resnet-basic": (dict(layer_type="basic", hidden_sizes=[16, 24, 32], depths=[1, 2, 1]), ""),
        "resnet-bottleneck": (dict(layer_type="bottleneck", hidden_sizes=[32, 64], depths=[2, 1]), ""),
        "resnet-first-stage": (dict(layer_type="basic", hidden_sizes=[24, 24], depths=[1, 1], downsample_in_first_stage=True), "zip"),
        "resnet-in-bottleneck": (dict(layer_type="bottleneck", hidden_sizes=[32, 48], depths=[1, 2], downsample_in_bottleneck=True), "pickles"),
    }
    for seed, (name, (config, checkpoint)) in enumerate(variants.items()):
        config = transformers.ResNetConfig(embedding_size=16, id2label=LABELS, **config)
        hub(name, randomise(transformers.ResNetForImageClassification(config), seed), transformers.ConvNextImageProcessorPil, CONVNEXT, ["logits"], checkpoint)


class SmallResnet(torch.nn.Module):
    """torchvision's names and blocks at narrower widths than its own class allows."""

    def __init__(self, widths, classes):
        super().__init__()
        from torchvision.models.resnet import BasicBlock
        self.conv1 = torch.nn.Conv2d(3, widths[0], 7, 2, 3, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(widths[0])
        before = widths[0]
        for i, width in enumerate(widths):
            stride = 1 if i == 0 else 2
            shortcut = None
            if stride != 1 or before != width:
                shortcut = torch.nn.Sequential(torch.nn.Conv2d(before, width, 1, stride, bias=False), torch.nn.BatchNorm2d(width))
            setattr(self, f"layer{i + 1}", torch.nn.Sequential(BasicBlock(before, width, stride, shortcut)))
            before = width
        self.fc = torch.nn.Linear(before, classes)

    def forward(self, x):
        x = torch.nn.functional.max_pool2d(torch.relu(self.bn1(self.conv1(x))), 3, 2, 1)
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
        return self.fc(x.mean((2, 3)))


def torchvision_resnet():
    """A bare checkpoint, in half precision, saved from a wrapper for several devices."""
    from torchvision.transforms import functional as F
    folder = fresh("resnet-torchvision")
    model = randomise(SmallResnet([8, 16, 24, 32], 12), 9).half()
    torch.save({"epoch": 3, "state_dict": {"module." + name: tensor for name, tensor in model.state_dict().items()}}, folder / "resnet10.pth")
    scaled = F.center_crop(F.resize(PICTURE, 256, F.InterpolationMode.BILINEAR), 224)
    scaled.save(folder / "prepared.ppm")
    pixels = F.normalize(F.to_tensor(scaled), [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])[None]
    with torch.no_grad():
        logits = model.double()(pixels.double())[0]
    (folder / "expected.json").write_text(json.dumps({"logits": logits.tolist()}))


def vits():
    for name, options, size in (("vit", {}, 32), ("vit-pooler", {"qkv_bias": False}, 48)):
        config = transformers.ViTConfig(hidden_size=48, num_hidden_layers=2, num_attention_heads=4, intermediate_size=80, image_size=size, patch_size=16,
                                        id2label=LABELS, **options)
        settings = {"do_normalize": True, "do_resize": True, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5], "resample": 2, "size": size}
        hub(name, randomise(transformers.ViTForImageClassification(config), 20 + size), transformers.ViTImageProcessorPil, settings, ["logits"])


def published_name(name):
    """The published checkpoint's names: torchvision's for the backbone, out_proj, no "mlp."."""
    name = name.replace(".o_proj.", ".out_proj.").replace(".mlp.fc", ".fc")
    if not name.startswith("model.backbone.model."):
        return name
    name = name.removeprefix("model.backbone.model.")
    kinds = {"convolution": "conv", "normalization": "bn"}
    if name.startswith("embedder"):
        _, _, kind, rest = name.split(".", 3)
        return f"model.backbone.conv_encoder.model.{kinds[kind]}1.{rest}"
    parts = name.split(".")  # encoder.stages.S.layers.I.layer.J.KIND.rest or ….shortcut.KIND.rest
    at = f"model.backbone.conv_encoder.model.layer{int(parts[2]) + 1}.{parts[4]}."
    if parts[5] == "shortcut":
        return at + f"downsample.{int(parts[6] == 'normalization')}.{parts[7]}"
    return at + f"{kinds[parts[7]]}{int(parts[6]) + 1}.{parts[8]}"


def detr():
    from safetensors.torch import save_file
    folder = fresh("detr")
    backbone = transformers.ResNetConfig(embedding_size=16, hidden_sizes=[32, 64], depths=[1, 1], layer_type="bottleneck", out_features=["stage2"])
    config = transformers.DetrConfig(use_timm_backbone=False, use_pretrained_backbone=False, backbone=None, backbone_config=backbone, d_model=32, encoder_layers=2,
                                     decoder_layers=2, encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=48, decoder_ffn_dim=40, num_queries=9,
                                     id2label={i: f"thing {i}" for i in range(5)})
    # A random network finds the same everywhere, or nothing: seeds are tried until it finds several things, none of them barely.
    for seed in range(31, 400):
        model = randomise(transformers.DetrForObjectDetection(config), seed)
        with torch.no_grad():
            model.model.query_position_embeddings.weight *= 8
            model.class_labels_classifier.weight *= 2
            answer = model(pixel_values=torch.randn(1, 3, 90, 110, generator=torch.Generator().manual_seed(1)))
        best = answer.logits[0].softmax(-1)[:, :-1].max(-1)
        if 3 <= (best.values > 0.6).sum() <= 7 and len(set(best.indices[best.values > 0.6].tolist())) > 1:
            break
    save_file({published_name(name): tensor.contiguous() for name, tensor in model.state_dict().items()}, folder / "model.safetensors")
    keep = ("d_model", "encoder_layers", "decoder_layers", "encoder_attention_heads", "decoder_attention_heads", "encoder_ffn_dim", "decoder_ffn_dim",
            "num_queries", "position_embedding_type", "model_type")
    published = {key: getattr(config, key) for key in keep} | {"architectures": ["DetrForObjectDetection"], "id2label": config.id2label, "backbone": "resnet50"}
    (folder / "config.json").write_text(json.dumps(published))
    settings = {"do_normalize": True, "do_resize": True, "feature_extractor_type": "DetrFeatureExtractor", "format": "coco_detection",
                "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225], "size": {"shortest_edge": 90, "longest_edge": 110}}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    pixels = prepare(folder, transformers.DetrImageProcessorPil)
    with torch.no_grad():
        answer = model.double()(pixel_values=pixels)
    scores = answer.logits[0].softmax(-1)[:, :-1].max(-1).values
    assert 2 <= (scores > 0.5).sum() <= 7 and ((scores - 0.5).abs() > 0.004).all(), scores
    (folder / "expected.json").write_text(json.dumps({key: getattr(answer, key)[0].tolist() for key in ("logits", "pred_boxes")}))
    print("detr", pixels.shape, scores)


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    resnets()
    torchvision_resnet()
    vits()
    detr()


if __name__ == "__main__":
    main()
