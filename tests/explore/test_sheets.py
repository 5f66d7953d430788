import math

import numpy as np
import pytest
import torch

from biggan import BigGAN, BigGANConfig, UserError
from biggan.explore import draw_rows, edits, in_a_row, legs, mixtures, truncation_sheet
from biggan.explore.sheets import described, row_name
from biggan.latents import LatentLaw, image_latents
from biggan.pictures import Picture, draw, latents_of


@pytest.fixture
def model(tiny: BigGANConfig) -> BigGAN:
    torch.manual_seed(0)
    return BigGAN(tiny, [*"abcdefghij"]).eval()


def test_the_stops_of_a_path_are_plain_images_bit_for_bit(model: BigGAN) -> None:
    stops = [Picture(4, {"a": 1.0}), Picture(9, {"c": 1.0}), Picture(2, {"c": 1.0})]
    plain = draw(model, stops)
    rows = draw_rows(model, legs(stops, 3, loop=True))
    assert [len(row) for row in rows] == [3, 3, 3]
    for k, row in enumerate(rows):
        assert torch.equal(row[0], plain[k])
        assert torch.equal(row[-1], plain[(k + 1) % 3])
        assert not torch.equal(row[1], row[0])
    with pytest.raises(UserError, match="at least two stops"):
        legs(stops[:1], 3)


def test_a_film_shows_each_stop_once() -> None:
    stops = [Picture(4), Picture(9), Picture(2)]
    there = in_a_row(legs(stops, 5))
    assert [(frame.start.seed, frame.share) for frame in there[::4]] == [(4, 0.0), (9, 0.0), (9, 1.0)]
    assert len(there) == 9
    loop = in_a_row(legs(stops, 5, loop=True), loop=True)
    assert len(loop) == 12
    assert (loop[-1].end.seed, loop[-1].share) == (4, 0.75)


def test_mixtures_fill_a_line_a_triangle_and_a_square() -> None:
    picture = Picture(3)
    for classes, shape in ((["a", "b"], [4]), (["a", "b", "c"], [1, 2, 3, 4]), (["a", "b", "c", "d"], [4, 4, 4, 4])):
        rows = mixtures(picture, classes, 4)
        assert [len(row) for row in rows] == shape
        assert all(one.seed == 3 for row in rows for one in row)
        assert all(math.isclose(sum(one.classes.values()), 1) for row in rows for one in row)
        corners = dict.fromkeys(str(max(one.classes, key=one.classes.get)) for row in rows for one in (row[0], row[-1])
                                if max(one.classes.values()) == 1)  # fmt: skip
        assert list(corners) == classes
    assert mixtures(picture, ["a", "b", "c"], 3)[2][1].classes == {"a": 0, "b": 0.5, "c": 0.5}
    assert mixtures(picture, ["a", "b", "c", "d"], 3)[1][1].classes == dict.fromkeys("abcd", 0.25)
    for wrong in (["a"], ["a", "a"], [*"abcde"]):
        with pytest.raises(UserError, match="two, three or four different classes"):
            mixtures(picture, wrong)
    with pytest.raises(UserError, match="at least 2 steps"):
        mixtures(picture, ["a", "b"], 1)


def test_a_sheet_of_truncations_shows_one_latent_along_a_row(model: BigGAN) -> None:
    laws = [LatentLaw("threshold", 2.0), LatentLaw("threshold", 0.1)]
    pictures = [Picture(5, {"a": 1.0}), Picture(5, {"b": 1.0}), Picture(6, {"a": 1.0})]
    cells = np.asarray(truncation_sheet(model, pictures, laws))[28:, -2 * 72 :, 0]      # 64 px and a gap of 8 each
    for k, law in enumerate(laws):
        column = draw(model, pictures, law)
        for r in range(3):
            assert np.array_equal(cells[72 * r : 72 * r + 64 : 8, 72 * k : 72 * k + 64 : 8], column[r, 0].numpy())


def test_edits_begin_at_the_picture(model: BigGAN) -> None:
    picture = Picture(7, {"b": 1.0}, steps=((1, 0.5),))
    directions = torch.eye(8, dtype=torch.float64)[2:4]
    rows = edits(model, picture, directions=directions, most=2.0, frames=5)
    assert list(rows) == ["neighbours", "classes", "direction 1", "direction 2"]
    assert rows["neighbours"][0] == picture
    assert [list(one.classes) for one in rows["classes"]] == [[label] for label in range(10)]
    z = latents_of([picture], 8, LatentLaw())
    moved = latents_of(rows["direction 2"], 8, LatentLaw())
    expected = torch.tensor([-2.0, -1, 0, 1, 2])[:, None] * directions[1].float()
    assert torch.allclose(moved - z, expected, atol=1e-6)
    assert torch.equal(draw(model, [rows["direction 1"][2]]), draw(model, [picture]))
    assert len({tuple(row) for row in latents_of(rows["neighbours"], 8, LatentLaw()).tolist()}) == 5
    with pytest.raises(UserError, match="--frames 1 must be at least 2"):
        edits(model, picture, frames=1)
    with pytest.raises(UserError, match="direction of 3 numbers was given; this model takes 8"):
        draw_rows(model, [edits(model, picture, directions=torch.ones(1, 3))["direction 1"]])


def test_given_values_are_the_latent() -> None:
    values = tuple(Picture(3).normal(8).tolist())
    assert torch.equal(latents_of([Picture(0, values=values)], 8, LatentLaw()), image_latents([3], 8))


def test_rows_are_named_by_their_ends(model: BigGAN) -> None:
    row = mixtures(Picture(0), ["a", 2], 3)[0]
    assert row_name(model, row) == "a to c"
    assert row_name(model, row[:2]) == ""
    assert row_name(model, legs([Picture(0, {"d": 1.0}), Picture(1, {3: 1.0})], 2)[0]) == "d"
    assert described(model, Picture(0, {"a": 1.0, "b": 3.0, "c": 0.0})) == "75% b, 25% a"
