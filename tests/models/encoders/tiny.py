"""Tiny models of every family, from configs and with random weights, as folders of transformers."""

from collections.abc import Callable
from pathlib import Path

import torch
import transformers as tf
from tokenizers import Tokenizer, models, pre_tokenizers, processors

VISION = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "image_size": 32, "patch_size": 8,
}  # fmt: skip
TEXT = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
    "vocab_size": 64, "max_position_embeddings": 16, "pad_token_id": 0, "bos_token_id": 1,
    "eos_token_id": 40,
}  # fmt: skip
WAVE = {
    "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 3, "num_attention_heads": 2,
    "conv_dim": (8, 8, 8), "conv_kernel": (10, 3, 3), "conv_stride": (5, 2, 2),
    "num_conv_pos_embeddings": 4, "num_conv_pos_embedding_groups": 2, "vocab_size": 10,
}  # fmt: skip
RATE = 16_000


def clip(folder: Path) -> None:
    tf.CLIPModel(
        tf.CLIPConfig(text_config=TEXT, vision_config=VISION, projection_dim=12)
    ).save_pretrained(folder)
    tf.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)
    _tokenizer(folder)


def siglip(folder: Path) -> None:
    text = TEXT | {"projection_size": 16}
    tf.SiglipModel(tf.SiglipConfig(text_config=text, vision_config=VISION)).save_pretrained(folder)
    tf.SiglipImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)
    _tokenizer(folder)


def dinov2(folder: Path) -> None:
    tf.Dinov2Model(tf.Dinov2Config(**VISION)).save_pretrained(folder)
    tf.BitImageProcessorPil(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)


def vit(folder: Path) -> None:
    # Saved as a classifier, as on the hub: its pooler has no weights there.
    tf.ViTForImageClassification(tf.ViTConfig(**VISION)).save_pretrained(folder)
    tf.ViTImageProcessorPil(size={"height": 32, "width": 32}).save_pretrained(folder)


def mobilenet_v2(folder: Path) -> None:
    config = tf.MobileNetV2Config(depth_multiplier=0.25, image_size=32)
    model = tf.MobileNetV2ForImageClassification(config)
    # Without statistics of their own the batch norms let next to nothing through.
    patches = torch.nn.functional.interpolate(2 * torch.rand(64, 3, 4, 4) - 1, (32, 32))
    for _ in range(6):  # each keeps 0.3 % of those before
        model.train()(patches)
    model.save_pretrained(folder)
    tf.MobileNetV2ImageProcessorPil(
        size={"shortest_edge": 36}, crop_size={"height": 32, "width": 32}
    ).save_pretrained(folder)


def whisper(folder: Path) -> None:
    config = tf.WhisperConfig(
        d_model=16, encoder_layers=3, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=8,
        max_source_positions=100, vocab_size=20, pad_token_id=0, bos_token_id=1, eos_token_id=2,
        decoder_start_token_id=1,
    )  # fmt: skip
    tf.WhisperForConditionalGeneration(config).save_pretrained(folder)
    tf.WhisperFeatureExtractor(feature_size=8, chunk_length=2).save_pretrained(folder)


def wav2vec2(folder: Path) -> None:
    tf.Wav2Vec2Model(tf.Wav2Vec2Config(**WAVE)).save_pretrained(folder)
    tf.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)


def xls_r(folder: Path) -> None:
    config = tf.Wav2Vec2Config(**WAVE, feat_extract_norm="layer", do_stable_layer_norm=True)
    tf.Wav2Vec2ForCTC(config).save_pretrained(folder)
    tf.Wav2Vec2FeatureExtractor(return_attention_mask=True).save_pretrained(folder)


def hubert(folder: Path) -> None:
    tf.HubertModel(tf.HubertConfig(**WAVE)).save_pretrained(folder)
    tf.Wav2Vec2FeatureExtractor(return_attention_mask=False).save_pretrained(folder)


def ast(folder: Path) -> None:
    config = tf.ASTConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=3, num_attention_heads=2,
        max_length=64, num_mel_bins=16, patch_size=8, time_stride=8, frequency_stride=8,
    )  # fmt: skip
    tf.ASTForAudioClassification(config).save_pretrained(folder)
    tf.ASTFeatureExtractor(max_length=64, num_mel_bins=16).save_pretrained(folder)


def sentences(folder: Path) -> None:
    tf.BertModel(tf.BertConfig(**TEXT)).save_pretrained(folder)
    _tokenizer(folder)


def _tokenizer(folder: Path) -> None:
    """Write a tokenizer of single letters that begins with <s> and ends with </s>."""
    letters = ["<pad>", "<s>", "<unk>", *"abcdefghijklmnopqrstuvwxyz0123456789 ", "</s>"]
    vocabulary = {letter: number for number, letter in enumerate(letters)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 40)]
    )
    tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=16, pad_token="<pad>", bos_token="<s>",
        eos_token="</s>", unk_token="<unk>", model_input_names=["input_ids", "attention_mask"],
    ).save_pretrained(folder)  # fmt: skip


MAKERS: dict[str, Callable[[Path], None]] = {
    make.__name__: make
    for make in (clip, siglip, dinov2, vit, mobilenet_v2, whisper, wav2vec2, xls_r, hubert, ast, sentences)
}  # fmt: skip
IMAGES = ("clip", "siglip", "dinov2", "vit", "mobilenet_v2")
RECORDINGS = ("whisper", "wav2vec2", "xls_r", "hubert", "ast")
TEXTS = ("sentences", "clip", "siglip")


def make(name: str, folder: Path) -> Path:
    """Write the tiny model ``name`` into ``folder``; equal weights each time."""
    torch.manual_seed(len(name))
    MAKERS[name](folder)
    return folder
