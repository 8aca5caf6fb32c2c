"""
Reads requests of ``/v1`` strictly: what is not understood is refused, not passed over.
"""

from __future__ import annotations

import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final

import msgspec

from p2pnet.signaling.records import NotOwner, UnknownPeer
from p2pnet.signaling.rest.problems import Kind
from p2pnet.signaling.shapes import decode
from p2pnet.signaling.web import Refused, caller_of, credentials, header

if TYPE_CHECKING:
    from twisted.web.server import Request

    from p2pnet.interfaces import IRegistry
    from p2pnet.signaling.records import Record

_PLACE: Final = re.compile(r" - at `\$\.?(?P<path>[^`]*)`$")
_MEMBER: Final = re.compile(r"(?:unknown|required) field `(?P<name>[^`]*)`")


class Call:
    """
    A request, as far as several operations want to know it.

    :ivar request: itself.
    :ivar caller: where it came from: a literal IP.
    :ivar credentials: name and secret that it shows, which may be wrong; None without.
    """

    def __init__(self, request: Request, registry: IRegistry) -> None:
        self.request = request
        self.caller = caller_of(request)
        self.credentials = credentials(request)
        self._registry = registry

    def header(self, name: bytes) -> str:
        """
        What a header says; empty without it.
        """
        return header(self.request, name)

    def shown(self) -> tuple[str, str]:
        """
        The credentials.

        :raise Refused: there are none.
        """
        if self.credentials is None:
            raise bad_credentials("this needs Authorization: Basic with a name and its secret")
        return self.credentials

    async def asker(self) -> Record:
        """
        The registration whose credentials these are.

        :raise Refused: they are missing, or nobody's.
        """
        name, secret = self.shown()
        try:
            asker: Record = await self._registry.owned(name, secret)
        except (UnknownPeer, NotOwner):
            raise bad_credentials("these are not the credentials of a registration") from None
        return asker

    async def asker_if_any(self) -> Record | None:
        """
        The same; None without credentials.

        :raise Refused: there are some, but nobody's.
        """
        if not self.header(b"Authorization"):
            return None
        return await self.asker()


def bad_credentials(detail: str) -> Refused:
    """
    Nobody may do this, or nobody with these credentials.
    """
    return Refused.because(
        Kind.BAD_CREDENTIALS, detail, WWW_Authenticate='Basic realm="p2pnet", charset="UTF-8"'
    )


def invalid(field: str, reason: str) -> Refused:
    """
    A value is not allowed.
    """
    return Refused.because(Kind.INVALID, f"{field} {reason}", field=field)


def body_as(shape: Any, data: bytes) -> Any:
    """
    The JSON in ``data``, of exactly that shape.

    :raise Refused: it is of another one, or no JSON, or has a member twice.
    """
    try:
        value = decode(data, shape)
    except msgspec.ValidationError as error:
        raise _unfitting(error) from None
    except ValueError as error:
        raise Refused.because(Kind.MALFORMED, f"the body is not JSON: {error}") from None
    # msgspec takes the last of two members with one name; another reader might take the first.
    json.loads(data, object_pairs_hook=_no_member_twice)
    return value


def _no_member_twice(members: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in members:
        if name in names:
            raise Refused.because(
                Kind.MALFORMED, "an object of the body has a member twice", field=name
            )
        names.add(name)


def query_as(shape: Any, request: Request) -> Any:
    """
    The parameters behind the question mark, of exactly that shape.

    :raise Refused: they are others.
    """
    values: dict[str, str] = {}
    for raw, given in (request.args or {}).items():
        try:
            name, texts = raw.decode(), [text.decode() for text in given]
        except UnicodeDecodeError:
            raise Refused.because(Kind.INVALID, "the query is not UTF-8") from None
        if len(texts) > 1:
            raise invalid(name, "stands there twice")
        values[name] = texts[0]
    try:
        return msgspec.convert(values, shape, strict=False)
    except msgspec.ValidationError as error:
        raise _unfitting(error) from None


def parameter_as(shape: Any, text: str) -> Any:
    """
    A parameter of the path.

    :raise Refused: nothing has that name, for none could.
    """
    try:
        return msgspec.convert(text, shape)
    except msgspec.ValidationError:
        raise not_found() from None


def not_found(detail: str = "there is nothing here for you") -> Refused:
    """
    Unknown, or not for the asker: the same words for both.
    """
    return Refused.because(Kind.NOT_FOUND, detail)


def _unfitting(error: msgspec.ValidationError) -> Refused:
    text = str(error)
    place = _PLACE.search(text)
    member = _MEMBER.search(text)
    path = [place["path"]] if place and place["path"] else []
    if member:
        path.append(member["name"])
    return Refused.because(
        Kind.INVALID, _PLACE.sub("", text), field=".".join(path) if path else None
    )


# ------------------------------------------------------------ states and their tags


def tag_of(data: bytes) -> str:
    """
    The ETag of a state: it is another one if a byte of its JSON is.
    """
    return f'"{sha256(data).hexdigest()[:32]}"'


def names_tag(condition: str, tag: str, *, weakly: bool) -> bool:
    """
    Whether an If-Match or If-None-Match names a state (RFC 9110 §13.1).

    :param weakly: as If-None-Match compares.
    """
    if condition.strip() == "*":
        return True
    named = [each.strip() for each in condition.split(",")]
    if weakly:
        named = [each.removeprefix("W/") for each in named]
    return tag in named


def check_conditions(call: Call, tag: str | None) -> None:
    """
    See that If-Match and If-None-Match allow a change (RFC 9110 §13.2).

    :param tag: of the present state; None if there is none.
    :raise Refused: they do not.
    """
    wanted, unwanted = call.header(b"If-Match"), call.header(b"If-None-Match")
    if wanted and (tag is None or not names_tag(wanted, tag, weakly=False)):
        raise Refused.because(Kind.PRECONDITION, "it is in another state", field="If-Match")
    if unwanted and tag is not None and names_tag(unwanted, tag, weakly=True):
        raise Refused.because(Kind.PRECONDITION, "it is there already", field="If-None-Match")
