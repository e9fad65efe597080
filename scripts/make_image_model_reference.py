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


def main():
    OUT.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    resnets()
    torchvision_resnet()
    vits()


if __name__ == "__main__":
    main()
