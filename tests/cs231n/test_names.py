"""All the course's names are there, with the arguments that they have there."""

import inspect
import re

import pytest

import minigrad
from minigrad import cs231n

COURSE = {
    "layers": """
        affine_forward(x, w, b) affine_backward relu_forward(x) relu_backward
        batchnorm_forward(x, gamma, beta, bn_param) batchnorm_backward batchnorm_backward_alt
        layernorm_forward(x, gamma, beta, ln_param) layernorm_backward
        dropout_forward(x, dropout_param) dropout_backward
        conv_forward_naive(x, w, b, conv_param) conv_backward_naive
        max_pool_forward_naive(x, pool_param) max_pool_backward_naive
        spatial_batchnorm_forward(x, gamma, beta, bn_param) spatial_batchnorm_backward
        spatial_groupnorm_forward(x, gamma, beta, G, gn_param) spatial_groupnorm_backward
        svm_loss(x, y) softmax_loss(x, y)
    """,
    "fast_layers": """
        conv_forward_fast(x, w, b, conv_param) conv_backward_fast conv_forward_im2col(x, w, b, conv_param)
        conv_backward_im2col conv_forward_strides(x, w, b, conv_param) conv_backward_strides
        max_pool_forward_fast(x, pool_param) max_pool_backward_fast max_pool_forward_reshape(x, pool_param)
        max_pool_backward_reshape max_pool_forward_im2col(x, pool_param) max_pool_backward_im2col
    """,
    "layer_utils": """
        affine_relu_forward(x, w, b) affine_relu_backward
        affine_bn_relu_forward(x, w, b, gamma, beta, bn_param) affine_bn_relu_backward
        affine_ln_relu_forward(x, w, b, gamma, beta, ln_param) affine_ln_relu_backward
        conv_relu_forward(x, w, b, conv_param) conv_relu_backward
        conv_bn_relu_forward(x, w, b, gamma, beta, conv_param, bn_param) conv_bn_relu_backward
        conv_relu_pool_forward(x, w, b, conv_param, pool_param) conv_relu_pool_backward
    """,
    "rnn_layers": """
        rnn_step_forward(x, prev_h, Wx, Wh, b) rnn_step_backward rnn_forward(x, h0, Wx, Wh, b) rnn_backward
        word_embedding_forward(x, W) word_embedding_backward sigmoid(x)
        lstm_step_forward(x, prev_h, prev_c, Wx, Wh, b) lstm_step_backward lstm_forward(x, h0, Wx, Wh, b)
        lstm_backward temporal_affine_forward(x, w, b) temporal_affine_backward
        temporal_softmax_loss(x, y, mask, verbose)
    """,
    "classifiers": """
        svm_loss_naive(W, X, y, reg) svm_loss_vectorized(W, X, y, reg)
        softmax_loss_naive(W, X, y, reg) softmax_loss_vectorized(W, X, y, reg)
    """,
    "im2col": """
        get_im2col_indices(x_shape, field_height, field_width, padding, stride)
        im2col_indices(x, field_height, field_width, padding, stride)
        col2im_indices(cols, x_shape, field_height, field_width, padding, stride)
    """,
    "networks": """
        TwoLayerNet
        FullyConnectedNet(hidden_dims, input_dim, num_classes, dropout_keep_ratio, normalization, reg, weight_scale,
        dtype, seed)
        ThreeLayerConvNet(input_dim, num_filters, filter_size, hidden_dim, num_classes, weight_scale, reg, dtype)
        CaptioningRNN(word_to_idx, input_dim, wordvec_dim, hidden_dim, cell_type, dtype)
    """,
    "gradient_check": """
        eval_numerical_gradient(f, x, verbose, h) eval_numerical_gradient_array(f, x, df, h)
        eval_numerical_gradient_blobs(f, inputs, output, h) eval_numerical_gradient_net(net, inputs, output, h)
        grad_check_sparse(f, x, analytic_grad, num_checks, h) rel_error(x, y)
    """,
}


def names(text):
    """Split a list of names, some with their arguments, into pairs (name, arguments or None)."""
    found = {}
    for word in re.sub(r",\s+", ",", text).split():
        name, _, arguments = word.rstrip(")").partition("(")
        found[name] = arguments.split(",") if arguments else None
    return found


def test_no_name_is_missing_and_none_is_undescribed():
    of_the_course = {name for text in COURSE.values() for name in names(text)}
    assert set(cs231n.__all__) == of_the_course | {"layer", "Solver", "sgd", "sgd_momentum", "rmsprop", "adam"}
    assert len(cs231n.__all__) == len(set(cs231n.__all__))


@pytest.mark.parametrize("module", COURSE)
def test_names_and_arguments(module):
    home = getattr(cs231n, module)
    assert set(home.__all__) == set(names(COURSE[module]))
    for name, arguments in names(COURSE[module]).items():
        function = getattr(cs231n, name)
        assert function is getattr(home, name) and function.__doc__
        if arguments is not None and name != "sigmoid":  # an op
            assert list(inspect.signature(function).parameters) == arguments


def test_everything_is_reached_by_a_star():
    space = {}
    exec("from minigrad.cs231n import *", space)
    assert set(cs231n.__all__) <= set(space)
    assert minigrad.cs231n is cs231n


def test_the_page_names_them_all():
    text = (minigrad.__path__[0] + "/../docs/cs231n.md").replace("minigrad/../", "")
    with open(text, encoding="utf-8") as file:
        page = file.read()
    assert [name for name in cs231n.__all__ if f"`{name}`" not in page] == []


@pytest.mark.parametrize(
    "line",
    [
        "from minigrad.cs231n.classifiers.fc_net import *; TwoLayerNet, FullyConnectedNet",
        "from minigrad.cs231n.classifiers.cnn import *; ThreeLayerConvNet",
        "from minigrad.cs231n.classifiers.rnn import CaptioningRNN",
        "from minigrad.cs231n.classifiers.linear_svm import svm_loss_naive, svm_loss_vectorized",
        "from minigrad.cs231n.classifiers.softmax import softmax_loss_naive, softmax_loss_vectorized",
        "from minigrad.cs231n.solver import Solver",
        "from minigrad.cs231n.optim import sgd_momentum, rmsprop, adam",
        "from minigrad.cs231n.layer_utils import *; affine_relu_forward",
        "from minigrad.cs231n.gradient_check import eval_numerical_gradient",
    ],
)
def test_the_notebooks_lines_of_import(line):
    exec(line, {})
