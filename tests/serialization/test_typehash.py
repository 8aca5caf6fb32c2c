"""
Packet types have the names that the reference gives them (SERIALIZATION §5, all seen).
"""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from p2pnet.serialization import Int, InvalidType
from p2pnet.serialization.typehash import clr_type, hash_of, type_hash


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", 0xCBF29CE484222325),
        ("Ab", 0x09084407B5A0B74A),
        ("System.Int32", 0x6A174EF4D44B937A),
        ("System.String", 0xC3E82F70F33A4187),
        ("My.Ns.Outer", 0xEC8360F122FE1631),
        ("My.Ns.Outer+Inner", 0x1E3C894618F3CFBE),
        ("My.Ns.Gen`1[System.Int32]", 0x7F0A1D63F2C97736),
        ("My.Ns.Gen`1[My.Ns.Gen`1[System.String]]", 0x4F74CF78D5593B99),
        ("My.Ns.Gen2`2+In`1[System.Int32,My.Ns.Vec,System.Byte]", 0xD2C6B212A0D2106C),
        ("My.Ns.Gen`1[System.Int32[]]", 0x48682DDD7F9F56AA),
        ("My.Ns.Gen`1[System.Nullable`1[System.Int32]]", 0x0DC7D15FB1C79BC5),
        ("System.Collections.Generic.List`1[System.Int32]", 0x1EA4FED956B19154),
        (
            "System.Collections.Generic.Dictionary`2[System.String,System.Int32[]]",
            0x99AFEB870F006A59,
        ),
        ("System.Int32[]", 0x1CAAC70C29D3378A),
        ("System.Int32[,]", 0x89350CAB11BC81F0),
        ("System.Byte[][]", 0x6EE70DBDC1AC3EDC),
        ("LiteNetLib.NatPunchModule+NatIntroduceRequestPacket", 0x9C66B1BF2610BE88),
        ("LiteNetLib.NatPunchModule+NatIntroduceResponsePacket", 0x619122C9FBCBDB44),
        ("LiteNetLib.NatPunchModule+NatPunchPacket", 0xD2F884792E5C4F4A),
    ],
)
def test_a_type_name_has_the_hash_of_the_reference(name: str, expected: int) -> None:
    assert type_hash(name) == expected


def test_characters_are_hashed_by_utf16_unit() -> None:
    """
    One character outside of the first plane is the two units that C# sees.
    """
    assert type_hash("😀") == type_hash("\ud83d\ude00") != type_hash("\ud83d")


def test_a_class_is_given_a_name_or_the_hash_of_one() -> None:
    @clr_type("Ab")
    class Named:
        pass

    @clr_type(0x09084407B5A0B74A)
    class Numbered:
        pass

    assert hash_of(Named) == hash_of(Numbered) == 0x09084407B5A0B74A


def test_the_type_is_not_inherited() -> None:
    @clr_type("Base")
    class Base:
        pass

    class Derived(Base):
        pass

    with pytest.raises(InvalidType, match="Derived has no CLR type"):
        hash_of(Derived)


def test_a_slotted_dataclass_keeps_the_type_wherever_the_decorator_stands() -> None:
    @clr_type("Ab")
    @dataclass(slots=True)
    class Outside:
        value: Int

    @dataclass(slots=True)
    @clr_type("Ab")
    class Inside:
        value: Int

    assert hash_of(Outside) == hash_of(Inside) == type_hash("Ab")


@pytest.mark.parametrize("name", ["", 0, -1, 1 << 64])
def test_what_is_neither_a_name_nor_a_hash_is_refused(name: str | int) -> None:
    with pytest.raises(ValueError, match="neither the name of a CLR type nor a 64-bit hash"):
        clr_type(name)
