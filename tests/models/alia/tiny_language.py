"""Tiny captioners and a tiny language model, from configs with random weights, saved as folders."""

from pathlib import Path

import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[DEC]", "a", "photo", "of", "bird", "snow", "in", "the", "at", "sea"]  # fmt: skip

CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def blip(folder: Path, positions: int = 32) -> None:
    """A BLIP captioner for images of 16 pixels."""
    torch.manual_seed(0)
    text = {
        "vocab_size": len(WORDS), "hidden_size": 16, "encoder_hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": positions,
        "pad_token_id": 0, "sep_token_id": 3, "eos_token_id": 3, "bos_token_id": 4, "is_decoder": True,
    }  # fmt: skip
    vision = {
        "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2,
        "image_size": 16, "patch_size": 8, "initializer_range": 0.5,
    }  # fmt: skip
    model = tf.BlipForConditionalGeneration(
        tf.BlipConfig(text_config=text, vision_config=vision, image_text_hidden_size=16)
    )
    for name, weights in model.named_parameters():
        if "crossattention" in name and weights.ndim == 2:  # else all images get one caption
            torch.nn.init.normal_(weights, std=0.5)
    model.save_pretrained(folder)
    tf.BlipImageProcessorPil(size={"height": 16, "width": 16}).save_pretrained(folder)
    _word_tokenizer(folder)


def florence(folder: Path) -> None:
    """A Florence-2 for images of 32 pixels."""
    torch.manual_seed(0)
    tokenizer = _byte_tokenizer(["<s>", "<pad>", "</s>", "<unk>", "<image>"])
    text = {
        "vocab_size": len(tokenizer.get_vocab()), "d_model": 16, "encoder_layers": 1, "decoder_layers": 1,
        "encoder_attention_heads": 2, "decoder_attention_heads": 2, "encoder_ffn_dim": 24,
        "decoder_ffn_dim": 24, "max_position_embeddings": 128, "bos_token_id": 0, "pad_token_id": 1,
        "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2, "init_std": 0.5,
    }  # fmt: skip
    vision = {
        "embed_dim": [8, 8, 16, 16], "num_heads": [2, 2, 2, 2], "num_groups": [2, 2, 2, 2],
        "depths": [1, 1, 1, 1], "window_size": 4, "projection_dim": 16,
    }  # fmt: skip
    config = tf.Florence2Config(text_config=text, vision_config=vision, image_token_id=4)
    tf.Florence2ForConditionalGeneration(config).save_pretrained(folder)
    processor = tf.CLIPImageProcessorPil(
        size={"height": 32, "width": 32}, do_center_crop=False, image_seq_length=2
    )
    processor.save_pretrained(folder)
    tf.BartTokenizer(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        unk_token="<unk>",
        extra_special_tokens={"image_token": "<image>"},
    ).save_pretrained(folder)


def qwen3(folder: Path, positions: int = 512, chat: str | None = CHAT) -> None:
    """A Qwen3 over bytes, with a chat template."""
    torch.manual_seed(0)
    tokenizer = _byte_tokenizer(SPECIAL)
    config = tf.Qwen3Config(
        vocab_size=len(tokenizer.get_vocab()), hidden_size=16, intermediate_size=24,
        num_hidden_layers=2, num_attention_heads=2, num_key_value_heads=1, head_dim=8,
        max_position_embeddings=positions, initializer_range=0.5, pad_token_id=0, eos_token_id=2,
        tie_word_embeddings=True,
    )  # fmt: skip
    tf.Qwen3ForCausalLM(config).save_pretrained(folder)
    saved = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=SPECIAL[0], eos_token=SPECIAL[2]
    )
    saved.chat_template = chat
    saved.save_pretrained(folder)


def _byte_tokenizer(special: list[str]) -> Tokenizer:
    """Return a tokenizer that writes every byte as a token."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens(special)
    return tokenizer


def _word_tokenizer(folder: Path) -> None:
    vocabulary = {word: number for number, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    saved = tf.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        cls_token="[CLS]",
        sep_token="[SEP]",
        pad_token="[PAD]",
        unk_token="[UNK]",
        bos_token="[DEC]",
    )
    saved.save_pretrained(folder)
