"""Names of cassettes: readable where they can be, distinct and safe on every file system always."""

from __future__ import annotations

import re
import unicodedata
from itertools import combinations
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pytest_agenttape.cassettes.paths import (
    assets_dir,
    check_name,
    collisions,
    derived_path,
    explicit_path,
    folder_path,
    format_of,
    node_path,
    session_path,
    split_extension,
)
from pytest_agenttape.errors import ConfigError

HERE = Path("/t")


def of_test(
    name: str = "test_x",
    param: str | None = None,
    *,
    module: str = "test_m",
    classes: tuple[str, ...] = (),
    siblings: tuple[str, ...] = (),
    format: str = "yaml",  # noqa: A002  # the word under test
) -> str:
    path = node_path(HERE / "cassettes", module, classes, name, param, format, siblings=siblings)
    return path.relative_to(HERE / "cassettes").as_posix()


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        pytest.param(of_test(), "test_m/test_x.yaml", id="function"),
        pytest.param(of_test(classes=("TestA",)), "test_m/TestA.test_x.yaml", id="method"),
        pytest.param(of_test(classes=("Outer", "Inner")), "test_m/Outer.Inner.test_x.yaml", id="nested-class"),
        pytest.param(of_test(param="London"), "test_m/test_x[London].yaml", id="parameter"),
        pytest.param(of_test(param="True-None-1.5"), "test_m/test_x[True-None-1.5].yaml", id="plain-parameters"),
        pytest.param(of_test(param="a b"), "test_m/test_x[a b].yaml", id="space"),
        pytest.param(of_test(param=""), "test_m/test_x[].yaml", id="empty-parameter"),
        pytest.param(of_test(param="gpt-4.1"), "test_m/test_x[gpt-4.1].yaml", id="dot"),
        pytest.param(of_test(param="東京"), "test_m/test_x[東京].yaml", id="non-ascii"),
        pytest.param(of_test(param=r"M\xfcnchen"), "test_m/test_x[München].yaml", id="pytest-escape"),
        pytest.param(of_test(param=r"\u6771\u4eac"), "test_m/test_x[東京].yaml", id="pytest-escape-of-two-bytes"),
        pytest.param(of_test(param=r"\U0001f600"), "test_m/test_x[😀].yaml", id="pytest-escape-of-emoji"),
        pytest.param(of_test(format="json"), "test_m/test_x.json", id="json"),
    ],
)
def test_a_plain_test_has_a_plain_name(path: str, expected: str) -> None:
    assert path == expected


@pytest.mark.parametrize(
    ("path", "readable"),
    [
        pytest.param(of_test(param="a/b"), "test_x[a_b]", id="slash"),
        pytest.param(of_test(param="a:b"), "test_x[a_b]", id="colon"),
        pytest.param(of_test(param="a\\\\b"), "test_x[a_b]", id="backslash-as-pytest-writes-it"),
        pytest.param(of_test(param="a\\b"), "test_x[a_b]", id="backslash"),
        pytest.param(of_test(param="a\\n"), "test_x[a_n]", id="newline-as-pytest-writes-it"),
        pytest.param(of_test(param="a\nb"), "test_x[a_b]", id="control-character"),
        pytest.param(of_test(param="e\u0301"), "test_x[é]", id="not-composed"),
        pytest.param(of_test(param="a\u202eb"), "test_x[a_b]", id="bidirectional-override"),
        pytest.param(of_test(param="\ud800"), "test_x[_]", id="surrogate"),
        pytest.param(of_test("CON"), "_CON", id="device"),
        pytest.param(of_test("test_x", classes=("Nul",)), "_Nul.test_x", id="device-before-a-dot"),
        pytest.param(of_test("com1"), "_com1", id="device-with-number"),
        pytest.param(of_test("test_x. "), "test_x", id="trailing-dot-and-space"),
        pytest.param(of_test("..."), "_", id="only-dots"),
    ],
)
def test_a_name_that_no_file_can_have_gets_digits(path: str, readable: str) -> None:
    folder, name = path.rsplit("/", 1)
    assert folder == "test_m"
    assert re.fullmatch(re.escape(readable) + r"-[0-9a-f]{8}\.yaml", name)


def test_the_digits_are_of_the_original_and_stay() -> None:
    assert of_test(param="a/b") == "test_m/test_x[a_b]-2c320c32.yaml"


@pytest.mark.parametrize("text", ["a" * 300, "東" * 300, "é" * 99 + "x", "😀" * 60])
def test_an_over_long_name_is_cut_and_gets_digits(text: str) -> None:
    name = PurePosixPath(of_test(param=text)).name
    stem = name.removesuffix(".yaml")
    assert re.search(r"-[0-9a-f]{8}$", stem)
    assert len(stem) <= 100
    assert len(stem.encode()) <= 200
    assert name != PurePosixPath(of_test(param=text + "x")).name


def test_a_name_that_just_fits_is_kept() -> None:
    name = "test_" + "x" * 95
    assert of_test(name) == f"test_m/{name}.yaml"
    assert re.search(r"-[0-9a-f]{8}\.yaml$", of_test(name + "x"))


def test_a_module_that_no_folder_can_be_gets_digits_too() -> None:
    assert re.fullmatch(r"_aux-[0-9a-f]{8}/test_x\.yaml", of_test(module="aux"))


def test_the_same_test_in_two_modules_has_two_files() -> None:
    assert of_test(module="test_a") != of_test(module="test_b")


@pytest.mark.parametrize(
    "params",
    [
        pytest.param(("a/b", "a:b", "a b", "a_b"), id="unsafe-characters"),
        pytest.param(("Paris", "paris", "PARIS"), id="case"),
        pytest.param(("straße", "STRASSE"), id="case-of-more-than-one-character"),
        pytest.param(("é", "e\u0301", "É"), id="composition"),
        pytest.param(("x" * 300 + "a", "x" * 300 + "b"), id="over-long"),
        pytest.param(("A/b", "a/b"), id="case-and-unsafe"),
        pytest.param((r"\xc9", r"\xe9"), id="case-under-escapes"),
    ],
)
def test_parameters_of_one_test_never_share_a_file(params: tuple[str, ...]) -> None:
    paths = [of_test(param=each, siblings=params) for each in params]
    assert not collisions((Path(path), param) for path, param in zip(paths, params, strict=True))


def test_of_parameters_that_differ_by_case_the_first_keeps_the_clean_name() -> None:
    siblings = ("Paris", "London", "paris")
    assert of_test(param="Paris", siblings=siblings) == "test_m/test_x[Paris].yaml"
    assert of_test(param="London", siblings=siblings) == "test_m/test_x[London].yaml"
    assert re.fullmatch(r"test_m/test_x\[paris\]-[0-9a-f]{8}\.yaml", of_test(param="paris", siblings=siblings))


_ids = st.lists(st.text(max_size=120) | st.text("aAbB/:é", max_size=4), unique=True, max_size=6).map(tuple)


@given(_ids)
@example(("a/b", "a:b"))
@example(("K", "\u212a"))
@example(("ẞ", "ß", "ss"))
def test_any_parameters_have_distinct_and_safe_files(params: tuple[str, ...]) -> None:
    names = [of_test(param=each, siblings=params).removeprefix("test_m/") for each in params]
    for first, second in combinations(names, 2):
        assert unicodedata.normalize("NFC", first.casefold()) != unicodedata.normalize("NFC", second.casefold())
    for name in names:
        assert len(name.encode()) <= 205
        assert name.isprintable()
        assert not set(name) & set('<>:"|?*\\/')
        assert unicodedata.is_normalized("NFC", name)


@given(_ids, st.text(max_size=20))
def test_adding_a_parameter_at_the_end_renames_no_other(params: tuple[str, ...], added: str) -> None:
    for each in params:
        assert of_test(param=each, siblings=params) == of_test(param=each, siblings=(*params, added))


BAD_NAMES = [
    pytest.param("", "empty part", id="empty"),
    pytest.param("..", "'..'", id="parent"),
    pytest.param("a/../b", "'..'", id="parent-inside"),
    pytest.param("./a", "'.'", id="current"),
    pytest.param("/etc/passwd", "starts or ends with a slash", id="absolute"),
    pytest.param("a/", "starts or ends with a slash", id="trailing-slash"),
    pytest.param("a//b", "empty part", id="double-slash"),
    pytest.param("C:/x", "':'", id="drive"),
    pytest.param("C:x", "':'", id="drive-relative"),
    pytest.param("..\\x", "'\\\\'", id="backslash"),
    pytest.param("\\\\host\\share", "'\\\\'", id="unc"),
    pytest.param("what?", "'?'", id="question-mark"),
    pytest.param("a\0b", "'\\x00'", id="null"),
    pytest.param("a\nb", "'\\n'", id="newline"),
    pytest.param("con", "device", id="device"),
    pytest.param("x/nul.yaml", "device", id="device-with-extension"),
    pytest.param("a./b", "ends with a dot or a space", id="trailing-dot"),
    pytest.param("a ", "ends with a dot or a space", id="trailing-space"),
    pytest.param("a..yaml", "ends with a dot or a space", id="trailing-dot-before-the-extension"),
    pytest.param(".yaml", "only an extension", id="only-extension"),
    pytest.param("x" * 101, "too long", id="long"),
    pytest.param("東" * 70, "too long", id="long-in-bytes"),
    pytest.param(None, "must be a string", id="none"),
    pytest.param(3, "must be a string", id="number"),
]


@pytest.mark.parametrize(("name", "problem"), BAD_NAMES)
def test_a_name_that_cannot_be_used_is_an_error_that_says_why(name: object, problem: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(problem)) as caught:
        check_name(name)
    assert repr(name) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "param", "expected"),
    [
        pytest.param("weather", None, "weather.yaml", id="plain"),
        pytest.param("travel/weather", None, "travel/weather.yaml", id="folder"),
        pytest.param("weather", "London", "weather[London].yaml", id="parametrized"),
        pytest.param("weather.json", None, "weather.json", id="extension"),
        pytest.param("weather.yml", "London", "weather[London].yml", id="extension-and-parameter"),
        pytest.param("gpt-4.1", None, "gpt-4.1.yaml", id="dot-that-is-no-extension"),
        pytest.param("..weather", None, "..weather.yaml", id="leading-dots"),
        pytest.param("e\u0301", None, "é.yaml", id="composed"),
        pytest.param("Wetter heute", None, "Wetter heute.yaml", id="space"),
    ],
)
def test_a_marker_names_the_file(name: str, param: str | None, expected: str) -> None:
    assert explicit_path(HERE / "cassettes", name, param, "yaml") == HERE / "cassettes" / expected


def test_parameters_under_a_given_name_never_share_a_file() -> None:
    params = ("a/b", "a:b", "Paris", "paris")
    paths = [explicit_path(HERE / "cassettes", "weather", each, "yaml", siblings=params) for each in params]
    assert len({str(each).casefold() for each in paths}) == 4


@pytest.mark.parametrize(
    ("name", "classes", "param", "expected"),
    [
        pytest.param("weather", (), None, "weather/test_x.yaml", id="function"),
        pytest.param("weather", ("TestA",), "London", "weather/TestA.test_x[London].yaml", id="class-and-parameter"),
        pytest.param("travel/weather.json", (), None, "travel/weather/test_x.json", id="extension-is-the-format"),
    ],
)
def test_a_name_on_a_class_or_module_is_a_folder(
    name: str, classes: tuple[str, ...], param: str | None, expected: str
) -> None:
    assert folder_path(HERE / "cassettes", name, classes, "test_x", param, "yaml") == HERE / "cassettes" / expected


def test_a_folder_name_is_checked_too() -> None:
    with pytest.raises(ConfigError):
        folder_path(HERE / "cassettes", "../x", (), "test_x", None, "yaml")


@pytest.mark.parametrize(
    ("name", "present", "expected"),
    [
        pytest.param("weather", [], "weather.yaml", id="new"),
        pytest.param("weather", ["weather.json"], "weather.json", id="other-format-exists"),
        pytest.param("weather", ["weather.yml"], "weather.yml", id="other-extension-exists"),
        pytest.param("weather", ["weather.yaml", "weather.json"], "weather.yaml", id="both-exist"),
        pytest.param("weather.yaml", ["weather.json"], "weather.yaml", id="extension-is-meant"),
        pytest.param("a/weather", [], "a/weather.yaml", id="folder"),
        pytest.param(Path("weather.json"), [], "weather.json", id="relative-path"),
        pytest.param(Path("a") / "weather", ["a/weather.json"], "a/weather.json", id="relative-path-in-folder"),
    ],
)
def test_a_session_names_a_file_in_the_cassette_directory(
    tmp_path: Path, name: str | Path, present: list[str], expected: str
) -> None:
    for each in present:
        (tmp_path / each).parent.mkdir(exist_ok=True)
        (tmp_path / each).touch()
    assert session_path(name, tmp_path, "yaml") == tmp_path / expected


@pytest.mark.parametrize("name", ["a.yaml", "fixtures/a.json"])
def test_a_name_with_an_extension_may_say_that_it_starts_here(name: str) -> None:
    assert session_path(f"./{name}", Path("cassettes"), "yaml") == Path(name)


def test_a_path_may_be_absolute(tmp_path: Path) -> None:
    elsewhere = tmp_path / "x" / "weather"
    assert session_path(elsewhere, Path("/nowhere"), "json") == tmp_path / "x" / "weather.json"
    assert session_path(tmp_path / "gpt-4.1.yaml", Path("/nowhere"), "json") == tmp_path / "gpt-4.1.yaml"


def test_absolute_name_is_told_how_to_be_a_path() -> None:
    with pytest.raises(
        ConfigError, match=r"'/tmp/weather\.yaml' is absolute; names are relative to cassette_dir, pass a Path"
    ):
        session_path("/tmp/weather.yaml", Path("cassettes"), "yaml")


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "./../x.yaml", "./x", "", Path(), Path("../x"), Path("/"), 3])
def test_a_session_name_that_leaves_the_directory_is_an_error(name: str | Path) -> None:
    with pytest.raises(ConfigError):
        session_path(name, Path("cassettes"), "yaml")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.yaml", ("a", ".yaml")),
        ("a.YML", ("a", ".YML")),
        ("a.b.json", ("a.b", ".json")),
        ("a.txt", ("a.txt", "")),
        ("a", ("a", "")),
        (".yaml", (".yaml", "")),
    ],
)
def test_only_extensions_of_cassettes_are_split_off(name: str, expected: tuple[str, str]) -> None:
    assert split_extension(name) == expected


@pytest.mark.parametrize(
    ("name", "expected"), [("a.yaml", "yaml"), ("a.yml", "yaml"), ("a.JSON", "json"), ("a", "yaml"), ("a.txt", "yaml")]
)
def test_the_extension_is_the_format(name: str, expected: str) -> None:
    assert format_of(Path(name)) == expected


@pytest.mark.parametrize(
    ("name", "derived", "assets"),
    [
        ("a.yaml", "a.derived.yaml", "a.assets"),
        ("a.json", "a.derived.json", "a.assets"),
        ("t[gpt-4.1].yaml", "t[gpt-4.1].derived.yaml", "t[gpt-4.1].assets"),
        ("a.derived.yaml", "a.derived.derived.yaml", "a.derived.assets"),
        ("plain", "plain.derived.yaml", "plain.assets"),
    ],
)
def test_what_stands_beside_a_cassette(name: str, derived: str, assets: str) -> None:
    assert derived_path(HERE / name) == HERE / derived
    assert assets_dir(HERE / name) == HERE / assets


def test_collisions_name_every_owner_once() -> None:
    claims = [
        (Path("c/Weather.yaml"), "one"),
        (Path("c/weather.yaml"), "two"),
        (Path("c/weather.yaml"), "two"),
        (Path("c/other.yaml"), "three"),
        (Path("c/other.yaml"), "three"),
    ]
    assert collisions(claims) == {Path("c/Weather.yaml"): ("one", "two")}
