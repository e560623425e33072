"""Loop-free programs on which the counter is compared with XLA: name -> (function, shapes)."""

import jax
import jax.numpy as jnp
from jax import lax


def _f(*shape: int, dtype: str = "float32") -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.dtype(dtype))


def _i(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def _conv(stride=(1, 1), padding="VALID", lhs_dilation=None, rhs_dilation=None, groups=1):
    def f(x, w):
        return lax.conv_general_dilated(x, w, stride, padding, lhs_dilation, rhs_dilation, ("NHWC", "HWIO", "NHWC"), groups)

    return f


def _attention(q, k, v):
    return jax.nn.softmax(q @ k.transpose(0, 2, 1), axis=-1) @ v


def _norm(x, g, b):
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * lax.rsqrt(variance + 1e-5) * jnp.broadcast_to(g, x.shape) + jnp.broadcast_to(b, x.shape)


def _gru_cell(x, h, w, u):
    a, b = x @ w, h @ u
    r, z = jax.nn.sigmoid(a[:, :16] + b[:, :16]), jax.nn.sigmoid(a[:, 16:32] + b[:, 16:32])
    return (1 - z) * jnp.tanh(a[:, 32:] + r * b[:, 32:]) + z * h


def _cross_entropy(logits, labels):
    chosen = jnp.take_along_axis(jax.nn.log_softmax(logits), labels[:, None], 1)
    return -chosen.mean()


FORWARD = {
    "dot": (lambda a, b: a @ b, (_f(17, 33), _f(33, 9))),
    "dot_transposed": (lambda a, b: jnp.einsum("km,nk->mn", a, b), (_f(33, 17), _f(9, 33))),
    "dot_batched": (lambda a, b: jnp.einsum("bij,bjk->bik", a, b), (_f(5, 7, 11), _f(5, 11, 3))),
    "dot_two_batch_dims": (lambda a, b: jnp.einsum("abij,abkj->abik", a, b), (_f(2, 3, 7, 11), _f(2, 3, 5, 11))),
    "dot_two_contracted": (lambda a, b: jnp.einsum("ijk,jkl->il", a, b), (_f(4, 5, 6), _f(5, 6, 7))),
    "matvec": (lambda a, b: a @ b, (_f(64, 48), _f(48))),
    "conv": (_conv(), (_f(2, 12, 12, 3), _f(3, 3, 3, 8))),
    "conv_same": (_conv(padding="SAME"), (_f(2, 9, 9, 3), _f(5, 5, 3, 4))),
    "conv_stride": (_conv(stride=(2, 3)), (_f(2, 13, 13, 3), _f(3, 3, 3, 8))),
    "conv_dilated": (_conv(rhs_dilation=(2, 2)), (_f(2, 13, 13, 3), _f(3, 3, 3, 8))),
    "conv_transposed": (_conv(padding=((2, 2), (2, 2)), lhs_dilation=(2, 2)), (_f(2, 6, 6, 3), _f(3, 3, 3, 8))),
    "conv_text": (_conv(stride=(2, 1)), (_f(4, 20, 1, 6), _f(5, 1, 6, 8))),
    "conv_groups": (_conv(groups=2), (_f(2, 9, 9, 4), _f(3, 3, 2, 8))),
    "softmax": (lambda x: jax.nn.softmax(x), (_f(9, 33),)),
    "attention": (_attention, (_f(2, 8, 16), _f(2, 8, 16), _f(2, 8, 16))),
    "norm": (_norm, (_f(8, 32), _f(32), _f(32))),
    "gru_cell": (_gru_cell, (_f(8, 24), _f(8, 16), _f(24, 48), _f(16, 48))),
    "cross_entropy": (_cross_entropy, (_f(8, 50), _i(8))),
    "gather": (lambda t, i: t[i].sum(1), (_f(100, 16), _i(8, 5))),
    "scatter_add": (lambda t, i, u: t.at[i].add(u), (_f(100, 16), _i(12), _f(12, 16))),
    "argmax": (lambda x: jnp.argmax(x, -1), (_f(8, 50),)),
    "max_pool": (lambda x: lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID"), (_f(2, 8, 8, 4),)),
    "transcendentals": (
        lambda x: jnp.exp(x) + jnp.log1p(x) + jnp.sin(x) * jnp.cos(x) + jnp.tanh(x) + x**2.5 + lax.rsqrt(x),
        (_f(7, 13),),
    ),
    "logistic_erf": (lambda x: jax.nn.sigmoid(x) + lax.erf(x), (_f(7, 13),)),
    "integer": (lambda x: (x * 3 + 7) % 5 ^ (x >> 2), (_i(40),)),
    "select_compare": (lambda x, y: jnp.where(x > y, x, -y), (_f(6, 7), _f(6, 7))),
    "clamp_round": (lambda x: jnp.round(jnp.clip(x, -1, 1) * 7), (_f(6, 7),)),
    "cast": (lambda x: (x.astype("bfloat16") * 2).astype("float32"), (_f(6, 7),)),
    "slice_concat_pad": (lambda x: jnp.pad(jnp.concatenate([x[1:], x[:1]]) + 1, 2), (_f(6, 7),)),
    "sort": (lambda x: jnp.sort(x, -1), (_f(1, 64),)),
    "cumsum": (lambda x: jnp.cumsum(x, -1), (_f(4, 32),)),
    "complex": (lambda x: jnp.abs(lax.complex(x, x) * lax.complex(x, -x)), (_f(5, 6),)),
    "one_hot_product": (lambda i, w: jax.nn.one_hot(i, 20) @ w, (_i(6), _f(20, 8))),
    "variance": (lambda x: jnp.var(x, axis=0), (_f(30, 4),)),
    "random": (lambda k: jax.random.uniform(jax.random.wrap_key_data(k), (8, 4)), (_f(2, dtype="uint32"),)),
    "top_k": (lambda x: lax.top_k(x, 4)[0], (_f(3, 40),)),
}


def _gradient(f, numbers):
    return jax.grad(lambda *args: jnp.sum(jnp.sin(f(*args))), argnums=numbers)


#: Gradients of those whose inputs are real numbers.
GRADIENTS = {
    f"{name}_grad": (_gradient(f, tuple(n for n, s in enumerate(shapes) if s.dtype == jnp.float32)), shapes)
    for name, (f, shapes) in FORWARD.items()
    if any(s.dtype == jnp.float32 for s in shapes) and name not in ("argmax", "sort", "clamp_round", "random")
}

CASES = FORWARD | GRADIENTS
