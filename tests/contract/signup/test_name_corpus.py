"""Real names are accepted: Faker's names in more than 50 languages, and names in languages that Faker lacks."""

import pkgutil
import random
from collections.abc import Iterator
from functools import cache
from importlib import import_module

import faker.providers.person
import pytest
from faker.providers.emoji import Provider as Emoji

from signup.fields.models import Rules, SignUpRequest
from signup.fields.password_policy import Context, find_weakness
from signup.problems import ValidationFailed
from tests.counts import count

# Tests of many thousands of values are marked `no_cover`: measuring coverage makes them eight times as slow.

# The tested names that are refused, each with the reason. Currently all names are accepted.
REFUSED: dict[str, str] = {}
NAMES_BY_LANGUAGE = {
    "Amharic": "\u12a0\u1260\u1260 \u1262\u1242\u120b",
    "Assamese": "\u0985\u09f0\u09c2\u09aa \u09b6\u09f0\u09cd\u09ae\u09be",
    "Burmese": "\u1021\u1031\u102c\u1004\u103a\u1006\u1014\u103a\u1038",
    "Cherokee": "\u13cd\u13cf\u13c9\u13ef",
    "Dhivehi": "\u0789\u07aa\u0780\u07a6\u0787\u07b0\u0789\u07a6\u078b\u07aa",
    "Inuktitut": "\u14c4\u1455\u154b\u14d7\u1483",
    "Javanese": "\ua9b1\ua9bf\ua9b6",
    "Kannada": "\u0c95\u0cc1\u0cb5\u0cc6\u0c82\u0caa\u0cc1",
    "Khmer": "\u179f\u17bb\u1781\u17b6",
    "Kurdish": "\u0626\u0627\u0632\u0627\u062f",
    "Lao": "\u0eaa\u0ebb\u0ea1\u0e9e\u0ead\u0e99",
    "Malayalam": "\u0d32\u0d15\u0d4d\u0d37\u0d4d\u0d2e\u0d3f",
    "Manchu": "\u1828\u1860\u1875\u1865\u1820\u1834\u1873",
    "Mongolian": "\u1832\u1821\u182e\u1826\u1835\u1822\u1828",
    "N'Ko": "\u07db\u07df\u07cf\u07e1\u07ca\u07f2\u07de\u07ca\u07f2\u07d5\u07cd",
    "Ol Chiki": "\u1c68\u1c5f\u1c79\u1c5c\u1c77\u1c69\u1c71\u1c5f\u1c5b\u1c77",
    "Pashto": "\u062e\u0648\u0634\u062d\u0627\u0644 \u062e\u067c\u06a9",
    "Punjabi": "\u0a17\u0a41\u0a30\u0a2a\u0a4d\u0a30\u0a40\u0a24",
    "Syriac": "\u0710\u0726\u072a\u071d\u0721",
    "Tai Le": "\u1956\u196d\u1970",
    "Telugu": "\u0c36\u0c4d\u0c30\u0c40\u0c28\u0c3f\u0c35\u0c3e\u0c38\u0c4d",
    "Tibetan": "\u0f56\u0f66\u0f9f\u0f53\u0f0b\u0f60\u0f5b\u0f72\u0f53",
    "Tifinagh": "\u2d4e\u2d30\u2d59\u2d59\u2d49\u2d4f",
    "Uyghur": "\u0626\u0627\u0628\u062f\u06c7\u0644\u0644\u0627",
    "Yi": "\ua00b\ua3e2",
    "Adlam": "\U0001e906\U0001e923\U0001e925\U0001e922\U0001e923\U0001e935",
}


@cache
def corpus() -> dict[str, set[str]]:
    """Return Faker's given, middle and family names by locale."""
    modules = pkgutil.iter_modules(faker.providers.person.__path__, "faker.providers.person.")
    return {module.name.rpartition(".")[2]: set(_names(module.name)) for module in modules}


def _names(module: str) -> Iterator[str]:
    for kind, names in vars(import_module(module).Provider).items():
        if kind.startswith(("first_name", "last_name", "middle_name")) and isinstance(names, (tuple, list, dict)):
            yield from map(str, names)


def refused(names: set[str]) -> set[str]:
    """Return the names that are refused."""
    refused_names = set()
    for name in names:
        # The remaining fields are omitted to save time.
        with pytest.raises(ValidationFailed) as caught:
            SignUpRequest.from_object({"name": name}, Rules())
        if "/name" in {error.pointer for error in caught.value.errors}:
            refused_names.add(name)
    return refused_names


@pytest.mark.no_cover
def test_no_real_name_is_refused() -> None:
    """Names with a joiner, and a tenth of the other non-ASCII names, are tested. `make test-long` tests all of them."""
    names = {name for each in corpus().values() for name in each if not name.isascii()}
    assert len({locale.partition("_")[0] for locale in corpus()}) > 50
    assert len(names) >= 20_000
    joined = {name for name in names if "\u200c" in name or "\u200d" in name}
    assert len(joined) > 100
    assert refused(joined | set(sorted(names)[:: count(10, 1)])) == set(REFUSED)


@pytest.mark.parametrize("name", NAMES_BY_LANGUAGE.values(), ids=NAMES_BY_LANGUAGE)
def test_no_name_in_a_language_that_faker_lacks_is_refused(name: str) -> None:
    """Faker also lacks the scripts of most of these languages."""
    assert not refused({name})


def test_no_emoji_is_refused() -> None:
    """Each emoji is accepted as a name, even if it consists of many code points."""
    emojis = set(Emoji.emojis)
    assert len(emojis) > 3000
    assert not refused(emojis)


@pytest.mark.no_cover
def test_no_random_password_is_refused_because_of_a_name() -> None:
    """A password of 15 letters and digits is compared with two names and an address. `make test-long` tests 40,000."""
    generator = random.Random(1)  # noqa: S311 - the same passwords in every run
    names = sorted(set[str]().union(*corpus().values()))
    characters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    for _ in range(count(2_000, 40_000)):
        password = "".join(generator.choices(characters, k=15))
        first, last = generator.choices(names, k=2)
        context = Context(
            f"{first} {last}", f"{generator.choice(characters)}{generator.randrange(10**6)}@example.com", "signup"
        )
        assert find_weakness(password, context) is None, (password, context)
