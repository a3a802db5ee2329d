"""Layers against PyTorch's modules with the same weights: values, and gradients of the input and of every parameter."""

import copy

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn

rng = np.random.default_rng(0)


def torch_or_skip():
    return pytest.importorskip("torch", reason="PyTorch, to compare with, is not installed")


def compare(net, params, inputs, module, run, names, rtol=1e-9):
    """Compare results and gradients of ``sum(out * weights)``; `names` maps PyTorch's parameters to functions of ours.

    Each function takes the flat dict of parameters or gradients, and returns the array that PyTorch's would be.
    """
    torch = torch_or_skip()
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.tensor(np.ascontiguousarray(names[name](params))))
    theirs = [torch.tensor(x, requires_grad=True) for x in inputs]
    expected = run(module, *theirs)
    out = net.apply(params, *inputs)
    np.testing.assert_allclose(out, expected.detach().numpy(), rtol=rtol, atol=1e-12)
    weights = rng.standard_normal(out.shape)
    (expected * torch.tensor(weights)).sum().backward()
    grads, *dinputs = mg.grad(lambda p, *xs: np.sum(net.apply(p, *xs) * weights), tuple(range(1 + len(inputs))))(
        params, *inputs
    )
    for found, tensor in zip(dinputs, theirs):
        np.testing.assert_allclose(found, tensor.grad.numpy(), rtol=rtol, atol=1e-10)
    for name, parameter in module.named_parameters():
        np.testing.assert_allclose(names[name](grads), parameter.grad.numpy(), rtol=rtol, atol=1e-10, err_msg=name)


def shaken(net):
    """The parameters, none of them zeros or ones."""
    return {name: w + 0.1 * rng.standard_normal(w.shape) for name, w in net.params.items()}


def reorder(order):
    """Columns of the gates: ours to PyTorch's order, as rows."""

    def of(name):
        def take(params):
            w = params[name]
            parts = np.split(w, len(order), axis=-1)
            return np.concatenate([parts[i] for i in order], axis=-1).T

        return take

    return of


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_recurrent(kind):
    torch = torch_or_skip()
    N, T, D, H = 3, 5, 4, 6
    x = rng.standard_normal((N, T, D))
    net = getattr(nn, kind)(H).build(x, seed=0)
    params = shaken(net)
    gates = {"RNN": [0], "LSTM": [0, 1, 3, 2], "GRU": [0, 1, 2]}[kind]  # i, f, o, g here; i, f, g, o there
    of = reorder(gates)
    module = getattr(torch.nn, kind)(D, H, batch_first=True).double()
    if kind != "GRU":
        module.bias_hh_l0.requires_grad_(False)
        module.bias_hh_l0.zero_()
        bias = module.bias_hh_l0
        del module.bias_hh_l0
        module.register_buffer("bias_hh_l0", bias.detach())
    names = {"weight_ih_l0": of("Wx"), "weight_hh_l0": of("Wh"), "bias_ih_l0": of("b"), "bias_hh_l0": of("bh")}
    compare(net, params, [x], module, lambda m, x: m(x)[0], names)


def attention_names(prefix, ours):
    def stacked(kind):
        transposed = (lambda w: w.T) if kind == "W" else (lambda w: w)
        return lambda p: np.concatenate([transposed(p[f"{ours}{kind}{part}"]) for part in "qkv"])

    return {
        f"{prefix}in_proj_weight": stacked("W"),
        f"{prefix}in_proj_bias": stacked("b"),
        f"{prefix}out_proj.weight": lambda p: p[f"{ours}Wo"].T,
        f"{prefix}out_proj.bias": lambda p: p[f"{ours}bo"],
    }


def norm_names(prefix, ours):
    return {f"{prefix}.weight": lambda p: p[f"{ours}.gamma"], f"{prefix}.bias": lambda p: p[f"{ours}.beta"]}


def feed_forward_names():
    return {
        "linear1.weight": lambda p: p["feed_forward.W1"].T,
        "linear1.bias": lambda p: p["feed_forward.b1"],
        "linear2.weight": lambda p: p["feed_forward.W2"].T,
        "linear2.bias": lambda p: p["feed_forward.b2"],
    }


@pytest.mark.parametrize("causal", [False, True])
def test_attention(causal):
    torch = torch_or_skip()
    x = rng.standard_normal((2, 5, 8))
    net = nn.MultiHeadAttention(2, causal=causal).build(x, seed=0)
    module = torch.nn.MultiheadAttention(8, 2, batch_first=True).double()
    mask = torch.triu(torch.ones(5, 5, dtype=bool), 1) if causal else None

    def run(m, x):
        return m(x, x, x, attn_mask=mask, need_weights=False)[0]

    compare(net, shaken(net), [x], module, run, attention_names("", ""))


def test_attention_to_another_sequence():
    torch = torch_or_skip()
    x, memory = rng.standard_normal((2, 5, 8)), rng.standard_normal((2, 3, 8))
    net = nn.MultiHeadAttention(4).build(x, memory, seed=0)
    module = torch.nn.MultiheadAttention(8, 4, batch_first=True).double()
    compare(
        net,
        shaken(net),
        [x, memory],
        module,
        lambda m, x, y: m(x, y, y, need_weights=False)[0],
        attention_names("", ""),
    )


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_transformer_encoder_layer(norm_first, activation):
    torch = torch_or_skip()
    x = rng.standard_normal((2, 5, 8))
    net = nn.TransformerEncoderLayer(2, 12, norm_first=norm_first, activation=getattr(mg, activation)).build(x, seed=0)
    module = torch.nn.TransformerEncoderLayer(
        8, 2, 12, dropout=0.0, activation=activation, batch_first=True, norm_first=norm_first
    ).double()
    names = {
        **attention_names("self_attn.", "self_attention."),
        **feed_forward_names(),
        **norm_names("norm1", "norm1"),
        **norm_names("norm2", "norm2"),
    }
    compare(net, shaken(net), [x], module, lambda m, x: m(x), names)


@pytest.mark.parametrize("norm_first", [False, True])
def test_transformer_decoder_layer(norm_first):
    torch = torch_or_skip()
    x, memory = rng.standard_normal((2, 5, 8)), rng.standard_normal((2, 3, 8))
    net = nn.TransformerDecoderLayer(2, 12, norm_first=norm_first).build(x, memory, seed=0)
    module = torch.nn.TransformerDecoderLayer(8, 2, 12, dropout=0.0, batch_first=True, norm_first=norm_first).double()
    names = {
        **attention_names("self_attn.", "self_attention."),
        **attention_names("multihead_attn.", "cross_attention."),
        **feed_forward_names(),
        **norm_names("norm1", "norm1"),
        **norm_names("norm2", "norm2"),
        **norm_names("norm3", "norm3"),
    }
    mask = torch.triu(torch.ones(5, 5, dtype=bool), 1)
    compare(net, shaken(net), [x, memory], module, lambda m, x, y: m(x, y, tgt_mask=mask), names)


def plain(*pairs):
    return {theirs: lambda p, ours=ours: p[ours] for theirs, ours in pairs}


@pytest.mark.parametrize("shape", [(6, 4), (3, 4, 5, 2)])
def test_batchnorm(shape):
    """In training, with the running statistics after three steps, and at test time."""
    torch = torch_or_skip()
    net = nn.BatchNorm(momentum=0.9).build(np.ones(shape), seed=0)
    net.params = shaken(net)
    module = (torch.nn.BatchNorm1d if len(shape) == 2 else torch.nn.BatchNorm2d)(4, momentum=0.1).double()
    names = plain(("weight", "gamma"), ("bias", "beta"))
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(torch.tensor(names[name](net.params)))
    count = np.prod(shape) // 4
    for _ in range(3):
        x, weights = rng.standard_normal(shape), rng.standard_normal(shape)
        theirs = torch.tensor(x, requires_grad=True)
        expected = module(theirs)
        module.zero_grad()
        (expected * torch.tensor(weights)).sum().backward()
        loss, grads = net.value_and_grad(lambda p, x=x, w=weights: np.sum(net.apply(p, x, train=True) * w))
        np.testing.assert_allclose(loss, (expected.detach().numpy() * weights).sum())
        for name, parameter in module.named_parameters():
            np.testing.assert_allclose(names[name](grads), parameter.grad.numpy())
        dx = mg.grad(lambda x, w=weights: np.sum(copy.deepcopy(net).apply(net.params, x, train=True) * w))(x)
        np.testing.assert_allclose(dx, theirs.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(net.state["running_mean"], module.running_mean.numpy())
    # PyTorch keeps the unbiased variance, the course the biased one. Both began at 1.
    kept = 0.9**3
    np.testing.assert_allclose(
        (net.state["running_var"] - kept) * count / (count - 1), module.running_var.numpy() - kept
    )
    module.zero_grad()
    module.running_var.copy_(torch.tensor(net.state["running_var"]))
    compare(net, net.params, [rng.standard_normal(shape)], module.eval(), lambda m, x: m(x), names)


@pytest.mark.parametrize(
    "ours, theirs, shape",
    [
        (lambda: nn.LayerNorm(), lambda torch: torch.nn.LayerNorm(6), (3, 4, 6)),
        (lambda: nn.GroupNorm(2), lambda torch: torch.nn.GroupNorm(2, 6), (3, 6, 4, 5)),
        (lambda: nn.InstanceNorm(), lambda torch: torch.nn.InstanceNorm2d(6, affine=True), (3, 6, 4, 5)),
    ],
)
def test_normalisation_within_a_sample(ours, theirs, shape):
    torch = torch_or_skip()
    x = rng.standard_normal(shape)
    net = ours().build(x, seed=0)
    names = plain(("weight", "gamma"), ("bias", "beta"))
    compare(net, shaken(net), [x], theirs(torch).double(), lambda m, x: m(x), names, rtol=1e-7)


@pytest.mark.parametrize("options", [{}, {"stride": 2, "padding": 1}, {"stride": 2, "padding": 1, "output_padding": 1}])
@pytest.mark.parametrize("groups", [1, 2])
def test_transposed_convolution(options, groups):
    torch = torch_or_skip()
    x = rng.standard_normal((2, 4, 5, 6))
    net = nn.ConvTranspose2d(6, (3, 4), groups=groups, **options).build(x, seed=0)
    module = torch.nn.ConvTranspose2d(4, 6, (3, 4), groups=groups, **options).double()
    compare(net, shaken(net), [x], module, lambda m, x: m(x), plain(("weight", "W"), ("bias", "b")))


@pytest.mark.parametrize(
    "options", [{}, {"stride": 2, "padding": 1}, {"padding": "same", "dilation": 2}, {"groups": 2}]
)
def test_convolution(options):
    torch = torch_or_skip()
    x = rng.standard_normal((2, 4, 7, 9))
    net = nn.Conv2d(6, 3, **options).build(x, seed=0)
    module = torch.nn.Conv2d(4, 6, 3, **options).double()
    compare(net, shaken(net), [x], module, lambda m, x: m(x), plain(("weight", "W"), ("bias", "b")))


def test_embedding_and_affine():
    torch = torch_or_skip()
    numbers = rng.integers(0, 7, (3, 5))
    net = nn.Sequential(embed=nn.Embedding(7, 4), head=nn.Affine(2, axis=-1)).build(numbers, seed=0)
    module = torch.nn.Sequential(torch.nn.Embedding(7, 4), torch.nn.Linear(4, 2)).double()
    names = {
        "0.weight": lambda p: p["embed.W"],
        "1.weight": lambda p: p["head.W"].T,
        "1.bias": lambda p: p["head.b"],
    }
    wrapped = WithNumbers(net, numbers)
    compare(wrapped, shaken(net), [], module, lambda m: m(torch.tensor(numbers)), names)


class WithNumbers:
    """A network with its input of integers, of which there is no gradient."""

    def __init__(self, net, numbers):
        self.net, self.numbers = net, numbers

    def apply(self, params):
        return self.net.apply(params, self.numbers)
