"""Writes a language model with random weights: its text is meaningless, but a real server can load and stream it."""

import sys

import numpy
from gguf import GGUFWriter, TokenType

WIDTH, LAYERS, HEADS, INNER = 64, 2, 4, 128
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


def vocabulary():
    special = [("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL)]
    single = [(f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)]
    words = [(f"\u2581{word}", TokenType.NORMAL) for word in ("the", "valve", "pump", "seal", "close")]
    return special + single + words


def main(path):
    random = numpy.random.default_rng(7)
    tokens = vocabulary()
    model = GGUFWriter(path, "llama")
    model.add_name("random")
    model.add_context_length(8192)
    model.add_embedding_length(WIDTH)
    model.add_block_count(LAYERS)
    model.add_feed_forward_length(INNER)
    model.add_head_count(HEADS)
    model.add_head_count_kv(HEADS)
    model.add_layer_norm_rms_eps(1e-5)
    model.add_rope_dimension_count(WIDTH // HEADS)
    model.add_vocab_size(len(tokens))
    model.add_tokenizer_model("llama")
    model.add_token_list([text for text, _ in tokens])
    model.add_token_scores([-float(at) for at in range(len(tokens))])
    model.add_token_types([kind for _, kind in tokens])
    model.add_bos_token_id(1)
    model.add_eos_token_id(2)
    model.add_unk_token_id(0)
    model.add_chat_template(TEMPLATE)

    def weights(name, *shape):
        model.add_tensor(name, random.normal(0, 0.5, shape).astype(numpy.float32))

    def ones(name):
        model.add_tensor(name, numpy.ones(WIDTH, dtype=numpy.float32))

    weights("token_embd.weight", len(tokens), WIDTH)
    for layer in range(LAYERS):
        ones(f"blk.{layer}.attn_norm.weight")
        ones(f"blk.{layer}.ffn_norm.weight")
        for part in ("attn_q", "attn_k", "attn_v", "attn_output"):
            weights(f"blk.{layer}.{part}.weight", WIDTH, WIDTH)
        weights(f"blk.{layer}.ffn_gate.weight", INNER, WIDTH)
        weights(f"blk.{layer}.ffn_up.weight", INNER, WIDTH)
        weights(f"blk.{layer}.ffn_down.weight", WIDTH, INNER)
    ones("output_norm.weight")
    weights("output.weight", len(tokens), WIDTH)
    model.write_header_to_file()
    model.write_kv_data_to_file()
    model.write_tensors_to_file()
    model.close()


main(sys.argv[1])
