"""The page in a browser: no errors, no requests, clicking, searching, colours, stepping, and everything in its place.

Needs Chromium (Debian's package) and Playwright (``pip install playwright``; it brings no browser of its own).
"""

import json
import os
import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad.draw import draw
from minigrad.draw.step import step_through
from tests.draw import nets

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
NETS = {"mlp2": nets.mlp2, "bn5": nets.bn5, "conv3": nets.conv3, "lstm10": nets.lstm10, "gpt2": nets.transformer}
SCREENSHOTS = os.environ.get("MINIGRAD_SCREENSHOTS")  # a folder for pictures to look at


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs Chromium: apt-get install chromium")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def show(browser, tmp_path):
    """Open a drawing or a walk from a file; in the end there must have been no errors and no requests."""
    opened = []

    def open_page(thing, theme="light", width=1400, height=1000, **options):
        path = tmp_path / f"page{len(opened)}.html"
        path.write_text(thing.to_html(**options), encoding="utf-8")
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=theme)
        complaints = []
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url) if request.url != path.as_uri() else None)
        opened.append((page, complaints))
        page.set_default_timeout(10_000)
        page.goto(path.as_uri())
        page.wait_for_selector("body[data-ready]")
        return page

    yield open_page
    for page, complaints in opened:
        page.close()
        assert complaints == []


def drawing_of(name, **options):
    function, arguments = NETS[name]()
    return draw(function, *arguments, **options)


def wait_for_drawing(page, action):
    before = int(page.get_attribute("body", "data-ready"))
    action()
    page.wait_for_selector(f"body[data-ready='{before + 1}']")


def screenshot(page, name):
    if SCREENSHOTS:
        page.screenshot(path=os.path.join(SCREENSHOTS, f"{name}.png"))


def count(page, selector):
    return page.locator(selector).count()


# --- where things stand ---------------------------------------------------------------------------------------------

MISPLACED = (Path(__file__).parent / "misplaced.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", NETS)
@pytest.mark.parametrize("direction", ["TB", "LR"])
def test_everything_is_in_its_place(show, name, direction):
    page = show(drawing_of(name, direction=direction))
    assert page.evaluate(MISPLACED) == []
    screenshot(page, f"{name}-{direction}")


@pytest.mark.parametrize("color", ["grad", "time", "memory"])
def test_heat_maps_are_in_their_place(show, color):
    page = show(drawing_of("bn5", color=color))
    assert page.evaluate(MISPLACED) == []
    screenshot(page, f"bn5-{color}")


@pytest.mark.parametrize("view", ["dual", "backward"])
@pytest.mark.parametrize("name", ["mlp2", "conv3", "bn5"])
def test_the_backward_pass_is_in_its_place(show, view, name):
    page = show(drawing_of(name, view=view))
    assert page.evaluate(MISPLACED) == []
    screenshot(page, f"{name}-{view}")


def test_frames_in_frames_are_in_their_place(show):
    page = show(drawing_of("gpt2", depth=1))
    wait_for_drawing(page, lambda: page.click("#expand"))
    assert page.evaluate(MISPLACED) == []
    wait_for_drawing(page, lambda: page.click("#unfold"))
    wait_for_drawing(page, lambda: page.click("#expand"))
    assert page.evaluate(MISPLACED) == []
    screenshot(page, "gpt2-unfolded")


def test_random_graphs_are_in_their_place(show):
    """Programs with many crossing edges, and scopes in scopes."""
    rng = np.random.default_rng(7)

    def tangle(x):
        values = [x]
        for i in range(4):
            with mg.scope(f"outer{i}"):
                for j in range(3):
                    with mg.scope(f"inner{j}"):
                        for _ in range(3):
                            one, other = (values[k] for k in rng.integers(max(0, len(values) - 9), len(values), 2))
                            values.append(np.tanh(one * other))
        return sum(values[-4:])

    page = show(draw(tangle, np.ones(3)))
    assert page.evaluate(MISPLACED) == []
    screenshot(page, "tangle")


def test_hostile_names_are_only_names(show):
    name = "</script><img src=x onerror=alert(1)> \" ' & <lambda> \\N \u2028 \x07 汉字 שלום"

    def net(params, x):
        with mg.scope("a<b>&\"c'"):
            return np.sum(np.tanh(x @ params[name]))

    page = show(draw(net, {name: np.ones((3, 2))}, np.ones((2, 3)), title=name, mark={"tanh": name}))
    assert page.evaluate(MISPLACED) == []
    assert count(page, "img") == 0
    assert page.inner_text("h1").startswith("</script>")
    assert "汉字" in page.locator("#scene").inner_html()
    svg = saved_svg(page)
    assert "汉字" in "".join(ElementTree.fromstring(svg).itertext())
    screenshot(page, "hostile")


# --- opening and closing --------------------------------------------------------------------------------------------


def test_clicking_a_box_expands_it_and_its_title_collapses_it(show):
    page = show(drawing_of("gpt2", depth=1))
    before = count(page, ".node")
    boxes = count(page, ".node[aria-expanded=false]")
    assert boxes >= 2
    wait_for_drawing(page, lambda: page.click(".node[aria-expanded=false] >> nth=0"))
    assert count(page, ".node") > before
    assert page.inner_text("#status") == "expanded"
    title = page.locator(".toggle").first
    wait_for_drawing(page, lambda: title.click())
    assert count(page, ".node") == before
    assert "shown of" in page.inner_text("#count")
    wait_for_drawing(page, lambda: page.click("#expand"))
    everything = count(page, ".node")
    assert everything > before
    assert page.inner_text("#count") == f"{everything} nodes"
    wait_for_drawing(page, lambda: page.click("#collapse"))
    assert count(page, ".node") <= before


def test_unfolding_shows_every_replica(show):
    drawing = drawing_of("gpt2")
    page = show(drawing)
    assert count(page, ".node") == len(drawing.shown.nodes)
    wait_for_drawing(page, lambda: page.click("#unfold"))
    assert count(page, ".node") == len(drawing.view.nodes)
    assert count(page, ".edge") == len(drawing.view.edges)
    assert page.get_attribute("#unfold", "aria-pressed") == "true"


def arrows(page):
    """Return the arrows as (source, target), each as often as it stands for edges."""
    found = []
    for title in page.locator(".edge > title").all_text_contents():
        ends = title.split(" · ")[0]
        many = re.search(r"([\d,]+) edges$", title)
        found += [tuple(ends.split(" → "))] * (int(many[1].replace(",", "")) if many else 1)
    return sorted(found)


@pytest.mark.parametrize("path", ["blocks.0", "blocks.0/attn", "blocks.0/mlp", "head", "blocks.0/ln1"])
def test_a_collapsed_frame_has_the_edges_that_python_finds(show, path):
    drawing = drawing_of("gpt2", collapse=path)
    names = {node.id: node.name for node in drawing.shown.nodes}
    expected = sorted((names[edge.source], names[edge.target]) for edge in drawing.shown.edges for _ in edge.members)
    assert arrows(show(drawing)) == expected


def test_an_unfolded_page_has_the_edges_of_the_tape(show):
    drawing = drawing_of("lstm10")
    page = show(drawing)
    names = {node.id: node.name for node in drawing.view.nodes}
    wait_for_drawing(page, lambda: page.click("#unfold"))
    assert arrows(page) == sorted((names[edge.source], names[edge.target]) for edge in drawing.view.edges)


# --- looking closer -------------------------------------------------------------------------------------------------


def test_a_click_traces_what_feeds_a_node_and_where_its_gradient_comes_from(show):
    page = show(drawing_of("conv3"))
    page.click(".node.activation >> nth=0")  # the relu after the convolution
    names = {
        kind: page.eval_on_selector_all(
            f".node.{kind}", "all => all.map(n => n.getAttribute('aria-label').split(',')[0])"
        )
        for kind in ("chosen", "feeds", "from", "dim")
    }
    assert names["chosen"] == ["relu"]
    assert names["feeds"] == ["X", "conv2d"]
    assert names["from"] == ["max_pool2d", "reshape", "matmul", "add", "relu", "matmul", "add", "softmax_loss"]
    assert names["dim"] == ["y"]
    screenshot(page, "conv3-trace")
    page.keyboard.press("Escape")
    assert count(page, ".dim") == 0


def test_the_panel_says_what_is_known_of_a_node(show):
    drawing = drawing_of("conv3", histograms=True)
    page = show(drawing)
    page.hover(".node.op >> nth=0")
    said = page.inner_text("#details")
    node = next(node for node in drawing.view.nodes if node.name == "conv2d")
    for text in (
        "8×32×16×16",
        "in conv",
        node.line,
        node.source,
        *node.rule,
        "saved for backward",
        "rms",
        "parameter conv.W",
    ):
        assert text in said
    assert f"{node.value.rms:.4g}" in said
    assert f"{node.gradient.rms:.4g}" in said
    assert count(page, "#details svg.bars") >= 2
    assert [int(n) for n in page.get_attribute("svg.bars >> nth=0", "aria-label").split(": ")[1].split(", ")] == list(
        node.value.histogram
    )
    screenshot(page, "conv3-panel")


def test_search_finds_and_goes_to_the_next_match(show):
    page = show(drawing_of("gpt2", depth=1))
    page.keyboard.press("/")
    page.keyboard.type("swapaxes")
    assert page.inner_text("#status") == "5 matches"  # the op, and those of one line with it
    assert count(page, ".node.found") == 1  # in a box that is still closed
    assert count(page, ".node.dim") == count(page, ".node") - 1
    screenshot(page, "gpt2-search")
    wait_for_drawing(page, lambda: page.keyboard.press("Enter"))  # opens the frames around it
    assert page.inner_text("#status") == "1 of 5 matches"
    assert page.inner_text("#details h2").startswith("swapaxes")
    assert count(page, ".node.found") >= 2
    page.keyboard.press("Enter")
    assert page.inner_text("#status") == "2 of 5 matches"
    page.keyboard.press("Escape")
    assert count(page, ".found") == 0
    for query, least in (("wte", 1), ("nets.py", 20), ("4×16×64", 5), ("nothing like it", 0)):
        page.fill("#search", query)
        found = int(page.inner_text("#status").split()[0].replace(",", ""))
        assert found >= least if least else found == 0


def test_switching_the_colour_changes_the_fills_to_those_of_python(show):
    drawing = drawing_of("bn5", color="grad")
    page = show(drawing_of("bn5", fold=False))
    fills = {}
    for color in ("kind", "grad", "memory"):
        if color != "kind":
            wait_for_drawing(page, lambda color=color: page.select_option("#color", color))
        fills[color] = page.eval_on_selector_all(
            ".node", "all => all.map(n => n.querySelector('.shape').getAttribute('fill').toUpperCase())"
        )
        expected = [node.heat[color].fill if color in node.heat else "#FFFFFF" for node in drawing.shown.nodes]
        if color != "kind":
            assert fills[color] == expected
            legend = drawing.shown.legends[color]
            assert page.inner_text("#legend").replace("\n", " ") == f"{legend.title} {legend.low} {legend.high}"
            words = page.locator("#scene").text_content()
            assert all(node.heat[color].text in words for node in drawing.shown.nodes if color in node.heat)
    assert len({tuple(row) for row in fills.values()}) == 3
    wait_for_drawing(page, lambda: page.select_option("#color", "time"))
    assert " · " in page.locator("#scene").text_content()


@pytest.mark.parametrize("color, scale", [("grad", (1e-6, 1.0)), ("memory", (10.0, 1e7))])
def test_a_fixed_scale_is_that_of_python(show, color, scale):
    drawing = drawing_of("bn5", color=color, scale=scale)
    page = show(drawing)
    fills = page.eval_on_selector_all(
        ".node", "all => all.map(n => n.querySelector('.shape').getAttribute('fill').toUpperCase())"
    )
    assert fills == [node.heat[color].fill if color in node.heat else "#FFFFFF" for node in drawing.shown.nodes]
    legend = drawing.shown.legends[color]
    assert page.inner_text("#legend").replace("\n", " ").endswith(f"{legend.low} {legend.high}")


def test_heat_of_collapsed_frames_is_that_of_python(show):
    folded = drawing_of("gpt2", depth=1)
    page = show(folded)
    wait_for_drawing(page, lambda: page.select_option("#color", "memory"))
    fills = page.eval_on_selector_all(
        ".node", "all => all.map(n => n.querySelector('.shape').getAttribute('fill').toUpperCase())"
    )
    assert fills == [node.heat["memory"].fill if "memory" in node.heat else "#FFFFFF" for node in folded.shown.nodes]


# --- themes, keys, saving -------------------------------------------------------------------------------------------


def test_the_dark_theme_follows_the_system_and_the_switch(show):
    page = show(drawing_of("mlp2"), theme="dark")
    ground = "getComputedStyle(document.querySelector('.stage')).backgroundColor"
    assert page.evaluate(ground) == "rgb(17, 17, 17)"
    screenshot(page, "mlp2-dark")
    page.click("#theme")
    assert page.evaluate(ground) == "rgb(255, 255, 255)"
    assert page.get_attribute("#theme", "aria-pressed") == "false"
    page = show(drawing_of("mlp2", theme="dark"))
    assert page.evaluate(ground) == "rgb(17, 17, 17)"


def test_the_keyboard_goes_from_node_to_node(show):
    page = show(drawing_of("conv3"))
    page.focus("#picture")
    where = "document.activeElement.getAttribute('aria-label')"
    first = page.evaluate(where)
    assert first.startswith("X")
    page.keyboard.press("ArrowDown")
    assert page.evaluate(where).startswith("conv2d")
    assert "conv2d" in page.inner_text("#details h2")
    page.keyboard.press("ArrowUp")
    assert page.evaluate(where) == first
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    assert count(page, ".node.chosen") == 1
    page = show(drawing_of("gpt2", depth=1))
    before = count(page, ".node")
    page.focus(".node[aria-expanded=false] >> nth=0")
    wait_for_drawing(page, lambda: page.keyboard.press("Enter"))
    assert count(page, ".node") > before


def test_everything_that_can_be_used_has_a_name(show):
    page = show(step_through(lambda a, b: a * b, 2.0, 3.0))
    unnamed = page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=button], [role=img]")]
          .filter((e) => !(e.getAttribute("aria-label") || e.textContent.trim())).map((e) => e.outerHTML)"""
    )
    assert unnamed == []
    assert page.get_attribute("html", "lang") == "en"


def test_zoom_and_pan(show):
    page = show(drawing_of("mlp2"))
    transform = "document.getElementById('scene').getAttribute('transform')"
    before = page.evaluate(transform)
    page.mouse.move(500, 500)
    page.mouse.wheel(0, -300)
    zoomed = page.evaluate(transform)
    for _ in range(50):
        if zoomed != before:
            break
        page.wait_for_timeout(20)
        zoomed = page.evaluate(transform)
    assert scale_of(zoomed) > scale_of(before)
    page.mouse.move(30, 700)
    page.mouse.down()
    page.mouse.move(130, 740)
    page.mouse.up()
    assert page.evaluate(transform) != zoomed
    assert scale_of(page.evaluate(transform)) == scale_of(zoomed)
    page.keyboard.press("0")
    assert scale_of(page.evaluate(transform)) == pytest.approx(scale_of(before), rel=0.5)


def scale_of(transform):
    return float(re.search(r"scale\(([^)]+)\)", transform)[1])


def saved_svg(page):
    with page.expect_download() as download:
        page.click("#save")
    with open(download.value.path(), "rb") as file:
        return file.read()


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_can_be_saved_as_svg(show, theme):
    drawing = drawing_of("conv3", theme=theme)
    page = show(drawing)
    svg = saved_svg(page)
    root = ElementTree.fromstring(svg)
    texts = "".join(root.itertext())
    assert all(node.name in texts for node in drawing.shown.nodes)
    assert b"var(--" not in svg
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    ground = next(element for element in root.iter() if element.tag.endswith("rect")).get("fill")
    assert ground == {"light": "#FFFFFF", "dark": "#111111"}[theme]


# --- stepping -------------------------------------------------------------------------------------------------------


def micro(a, b, c, f):
    e = a * b
    d = e + c
    return d * f + e


def test_stepping_shows_the_numbers_of_the_tape(show):
    walk = step_through(micro, 2.0, -3.0, 10.0, -2.0)
    page = show(walk)
    texts = {}
    for number, step in enumerate(walk.steps):
        assert page.get_attribute("body", "data-step") or number == 0
        said = page.inner_text("#steps")
        assert step.words in said
        for _, numbers in step.values:
            assert numbers.text in said
        for gift in step.gifts:
            assert gift.rule in said and gift.amount.text in said and gift.total.text in said
        current = page.locator(".node.now")
        assert current.get_attribute("data-id") == step.node
        texts[number] = current.locator(".slot").all_text_contents()
        assert page.evaluate(MISPLACED) == []
        if number + 1 < len(walk.steps):
            page.keyboard.press("ArrowRight")
    assert page.inner_text("#where") == "backward 8 of 8"
    a, b, c, f = mg.grad(micro, (0, 1, 2, 3))(2.0, -3.0, 10.0, -2.0)
    shown = {
        label.split(",")[0]: slots
        for label, slots in page.eval_on_selector_all(
            ".node",
            "all => all.map(n => [n.getAttribute('aria-label'), "
            "[...n.querySelectorAll('.slot')].map(t => t.textContent)])",
        )
    }
    for name, value, gradient in (("a", 2.0, a), ("b", -3.0, b), ("c", 10.0, c), ("f", -2.0, f)):
        assert shown[name] == [f"{value:g}", f"grad {float(gradient):g}"]
    screenshot(page, "walk")


def test_cotangents_add_up_as_they_arrive(show):
    page = show(step_through(micro, 2.0, -3.0, 10.0, -2.0))
    seen = []
    for _ in range(16):
        slots = page.locator(".node[aria-label^='multiply 1'] .slot.grad").all_text_contents()
        if slots and slots[0] and (not seen or seen[-1] != slots[0]):
            seen.append(slots[0])
        page.keyboard.press("ArrowRight")
    assert seen == ["grad 1 (1 of 2)", "grad -1"]


def test_a_screen_reader_hears_what_each_step_shows(show):
    walk = step_through(lambda a, b: a * b + a, 2.0, -3.0)
    page = show(walk)
    spoken = page.locator("[role=status]#spoken")
    heard = []
    for _ in walk.steps:
        heard.append(spoken.text_content())
        page.keyboard.press("ArrowRight")
    assert heard[2] == "multiply: value -6"
    assert heard[4] == "add: g 1; dx = g: 1 to multiply; dy = g: 1 to a"
    assert heard[5] == "multiply: g 1; dx = g * y: -3 to a, with what was there -2; dy = g * x: 2 to b"


def test_the_slider_and_the_buttons_go_to_steps(show):
    walk = step_through(micro, 2.0, -3.0, 10.0, -2.0)
    page = show(walk)
    page.click("#last")
    assert page.inner_text("#where").startswith("backward")
    page.click("#back")
    assert page.get_attribute("body", "data-step") == str(len(walk.steps) - 2)
    page.fill("#slider", "3")
    assert page.get_attribute("body", "data-step") == "3"
    page.click("#first")
    assert page.inner_text("#where") == "forward 1 of 8"
    assert count(page, ".node.later") == 7
    page.click("#play")
    page.wait_for_selector("body[data-step='2']")
    page.click("#play")
    page.keyboard.press("End")
    assert count(page, ".node.later") == 0


def test_stepping_through_a_network_with_frames(show):
    rng = np.random.default_rng(0)
    params = {
        "W1": rng.standard_normal((3, 4)),
        "b1": np.zeros(4),
        "W2": rng.standard_normal((4, 2)),
        "b2": np.zeros(2),
    }

    def net(params, X, y):
        with mg.scope("fc1"):
            hidden = mg.relu(X @ params["W1"] + params["b1"])
        with mg.scope("fc2"):
            scores = hidden @ params["W2"] + params["b2"]
        return mg.softmax_loss(scores, y) + 0.1 * np.sum(params["W2"] ** 2)

    page = show(step_through(net, params, rng.standard_normal((5, 3)), rng.integers(0, 2, 5)), theme="dark")
    page.click("#last")
    assert page.evaluate(MISPLACED) == []
    page.click("#back")
    screenshot(page, "walk-dark")
    wait_for_drawing(page, lambda: page.click("#collapse"))
    page.click("#first")
    for _ in range(12):
        page.click("#next")
        assert count(page, ".node.now") == 1  # the box that it is in


# --- Graphviz in the page -------------------------------------------------------------------------------------------


def test_relayout_lays_out_with_graphviz(show):
    from minigrad.core.errors import OptionError
    from minigrad.draw.page.page import find_viz

    try:
        viz = find_viz()
    except OptionError:
        pytest.skip("needs viz-global.js of @viz-js/viz: npm install @viz-js/viz, or MINIGRAD_VIZ_JS")
    drawing = drawing_of("gpt2", depth=1)
    page = show(drawing, relayout=viz)
    assert count(page, ".node") == len(drawing.shown.nodes)
    wait_for_drawing(page, lambda: page.click("#expand"))
    nodes = count(page, ".node")
    assert nodes > len(drawing.shown.nodes)
    wrong = [text for text in page.evaluate(MISPLACED) if "overlap" in text or "out of its box" in text]
    assert wrong == []
    assert page.inner_text("#status") == ""
    screenshot(page, "gpt2-graphviz")


def test_the_data_of_the_page_can_be_read_back(show):
    page = show(drawing_of("mlp2"))
    data = json.loads(page.locator("#data").text_content())
    assert data["title"] == "two_layer_net"
