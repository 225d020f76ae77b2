"""The facts in a phone number: its one spelling, its country, its kind, and its possible time zones."""

import re
from functools import lru_cache

import phonenumbers
from phonenumbers import timezone as phone_zones

from ringback.adapters.caller_id import digits_in
from ringback.domain.phone_number import E164, NumberPlan, NumberType
from ringback.domain.time_zone import (
    ADAK,
    ANCHORAGE,
    BOISE,
    CHICAGO,
    DAWSON_CREEK,
    DENVER,
    DETROIT,
    EDMONTON,
    HALIFAX,
    HONOLULU,
    INDIANAPOLIS,
    LOS_ANGELES,
    LOUISVILLE,
    NEW_YORK,
    PHOENIX,
    REGINA,
    TORONTO,
    VANCOUVER,
    WINNIPEG,
)

# Area codes of the United States by their zones. Compared code by code with the metadata of phonenumbers 9.0.43. The
# differences are deliberate: the library gives overlays the zone of one part of the area, or of another (364, 448, 458,
# 689, 930), and does not know the newest ones. It also splits codes by exchange, although a number moves with its owner
# inside the code. An area with its neighbours' clock by custom only (Phenix City in 334) is listed as well.
_UNITED_STATES: dict[tuple[str, ...], str] = {
    (NEW_YORK,): """
        201 202 203 207 212 215 216 220 223 227 229 234 239 240 252 267 272 276 283 301 302 304 305 315 321 324 326 329
        330 332 336 339 347 351 352 363 380 386 401 404 407 410 412 413 419 434 436 440 443 445 465 470 472 475 478 484
        508 513 516 518 540 551 561 567 570 571 582 585 603 607 609 610 614 617 624 631 640 645 646 656 667 678 680 681
        686 689 703 704 706 716 717 718 724 727 728 732 740 743 754 757 762 770 771 772 774 781 786 802 803 804 813 814
        821 826 828 835 838 839 843 845 848 854 856 857 860 862 863 864 865 878 904 908 910 912 914 917 919 929 934 937
        941 943 948 954 959 973 978 980 984""",
    (DETROIT,): "231 248 269 313 517 586 616 679 734 810 947 989",
    (INDIANAPOLIS,): "260 317 463 765",
    (LOUISVILLE,): "502 859",
    (CHICAGO,): """
        205 210 214 217 218 224 225 228 235 251 254 256 262 274 281 309 312 314 316 318 319 320 325 327 331 337 346 353
        361 402 405 409 414 417 430 432 447 457 464 469 471 479 501 504 507 512 515 531 534 539 557 563 572 573 580 601
        608 612 615 618 621 629 630 636 641 651 659 660 662 682 708 712 713 715 726 730 731 737 763 769 773 779 806 815
        816 817 830 832 847 861 870 872 901 903 913 918 920 924 931 936 938 940 945 952 956 972 975 979 985""",
    (DENVER,): "303 307 385 406 435 505 575 719 720 748 801 915 970 983",
    (PHOENIX,): "480 520 602 623",
    (LOS_ANGELES,): """
        206 209 213 253 279 310 323 341 350 357 360 369 408 415 424 425 442 503 509 510 530 559 562 564 619 626 628 650
        657 661 669 702 707 714 725 738 747 760 805 818 820 831 837 840 858 909 916 925 949 951 971""",
    (ANCHORAGE, ADAK): "907",
    (HONOLULU,): "808",
    ("America/Puerto_Rico",): "787 939",
    ("America/St_Thomas",): "340",
    ("Pacific/Guam",): "671",
    ("Pacific/Saipan",): "670",
    ("Pacific/Pago_Pago",): "684",
    (NEW_YORK, CHICAGO): "334 423 448 483 729 850",
    (DETROIT, CHICAGO): "906",
    (INDIANAPOLIS, CHICAGO): "219 574 812 930",
    (LOUISVILLE, CHICAGO): "270 364 606",
    (CHICAGO, DENVER): "308 605 620 701 785",
    (PHOENIX, DENVER): "928",
    (BOISE, LOS_ANGELES): "208 986",
    (LOS_ANGELES, BOISE): "458 541",
    (LOS_ANGELES, DENVER): "775",
}

_CANADA: dict[tuple[str, ...], str] = {
    (TORONTO,): """
        226 249 263 289 343 354 365 382 416 437 438 450 468 514 519 548 579 613 647 683 705 742 753 819 873 905 942""",
    (TORONTO, HALIFAX, "America/Blanc-Sablon"): "273 367 418 581",
    (TORONTO, WINNIPEG, "America/Atikokan"): "807",
    (HALIFAX,): "782 902",
    ("America/Moncton",): "428 506",
    ("America/St_Johns", "America/Goose_Bay"): "709 879",
    (WINNIPEG,): "204 431 584",
    (REGINA, EDMONTON): "306 474 639",
    (EDMONTON,): "368 403 587 780 825",
    (VANCOUVER,): "604",
    (VANCOUVER, EDMONTON, DAWSON_CREEK): "236 250 257 672 778",
    ("America/Whitehorse", EDMONTON, WINNIPEG, "America/Iqaluit"): "867",
}

# Neither an area code nor an exchange begins with 0 or 1, and no area code is a service code such as 411 or 911.
_NORTH_AMERICAN = re.compile(r"\+1(?![2-9]11)([2-9][0-9]{2})([2-9][0-9]{2})[0-9]{4}")
# Reserved for fiction: 555-0100 to 555-0199 in every area code.
_FICTIONAL = re.compile(r"\+1([2-9][0-9]{2})55501[0-9]{2}")
_SOME_EXCHANGE = "2345678"
# Codes of the North American plan for a service instead of an area. The list is complete: the metadata omits numbers
# that are not in use yet.
_SERVICE_CODES: dict[NumberType, str] = {
    NumberType.PREMIUM: "900",
    NumberType.TOLL_FREE: "800 822 833 844 855 866 877 888",
    NumberType.PERSONAL: "500 521 522 523 524 525 526 527 528 529 533 544 566 577 588",
}
# Premium in every area code of these countries. On the islands of the same plan it is an ordinary exchange.
_PREMIUM_EXCHANGE, _WITH_PREMIUM_EXCHANGE = "976", frozenset({"US", "CA"})
_LIBRARY_TYPES = {
    phonenumbers.PhoneNumberType.PREMIUM_RATE: NumberType.PREMIUM,
    phonenumbers.PhoneNumberType.TOLL_FREE: NumberType.TOLL_FREE,
    phonenumbers.PhoneNumberType.SHARED_COST: NumberType.SHARED_COST,
    phonenumbers.PhoneNumberType.PERSONAL_NUMBER: NumberType.PERSONAL,
    phonenumbers.PhoneNumberType.PAGER: NumberType.PAGER,
    phonenumbers.PhoneNumberType.VOICEMAIL: NumberType.VOICEMAIL,
}
_INTERNATIONAL_PREFIXES = ("011", "00")
_UNKNOWN_ZONE = "Etc/Unknown"
# Toll-free and personal numbers of the North American plan get all of its 42 zones, which is no information. Russia has
# the most zones of one country.
_MOST_ZONES = 30


@lru_cache(maxsize=1)
def _zones_by_area_code() -> dict[str, tuple[str, ...]]:
    tables = (_UNITED_STATES, _CANADA)
    return {code: zones for table in tables for zones, codes in table.items() for code in codes.split()}


@lru_cache(maxsize=1)
def _types_by_service_code() -> dict[str, NumberType]:
    return {code: kind for kind, codes in _SERVICE_CODES.items() for code in codes.split()}


class PhoneNumbersPlan(NumberPlan):
    """The `phonenumbers` metadata, corrected for North America. It reads E.164; anything else is unknown."""

    def canonical(self, phone: str) -> str | None:
        if _NORTH_AMERICAN.fullmatch(phone):
            return phone
        if not E164.fullmatch(phone):
            return None
        spellings = _spellings(phone)
        found = next((spelling for spelling in spellings if _is_assigned(spelling)), None)
        if found is None:
            # No metadata knows it, so it may be a new range. The digits that the library dropped were a trunk prefix.
            found = next(filter(_is_possible, reversed(spellings[:2])), None)
        return found if found is None or found == phone else self.canonical(found)

    def read(self, text: str, country: str | None) -> str | None:
        digits = digits_in(text)
        if digits is None:
            return None
        if digits.startswith("+"):
            return self.canonical(digits)
        national = _formatted(_parse(digits, country)) if country is not None else None
        abroad = [f"+{digits.removeprefix(prefix)}" for prefix in _INTERNATIONAL_PREFIXES if digits.startswith(prefix)]
        readings = [self.canonical(each) for each in (national or "", *abroad)]
        assigned = [each for each in (*readings, self.canonical(f"+{digits}")) if each and _is_assigned(each)]
        return next(filter(None, (*assigned, *readings)), None)

    def region(self, phone: str) -> str | None:
        fictional = _FICTIONAL.fullmatch(phone)
        number = _parse(f"+1{fictional[1]}{_SOME_EXCHANGE}" if fictional else phone)
        region = phonenumbers.region_code_for_number(number) if number else None
        if region is None and (in_plan := _NORTH_AMERICAN.fullmatch(phone)):
            # Metadata learns of a new overlay late, and these numbers must not look foreign.
            is_known = any(in_plan[1] in codes.split() for codes in _UNITED_STATES.values())
            return "US" if is_known or in_plan[1] in _types_by_service_code() else None
        # The library returns "001" for numbers of no country, such as +800.
        return region if region and region.isalpha() else None

    def time_zones(self, phone: str) -> tuple[str, ...]:
        in_plan = _NORTH_AMERICAN.fullmatch(phone)
        if in_plan and (zones := _zones_by_area_code().get(in_plan[1])):
            return zones
        number = _parse(phone)
        if number is None:
            return ()
        if number.country_code == 1:
            zones = tuple(phone_zones.time_zones_for_geographical_number(number))
        else:
            zones = tuple(phone_zones.time_zones_for_number(number))
        return zones if len(zones) <= _MOST_ZONES and _UNKNOWN_ZONE not in zones else ()

    def number_type(self, phone: str) -> NumberType | None:
        if in_plan := _NORTH_AMERICAN.fullmatch(phone):
            area_code, exchange = in_plan.groups()
            if kind := _types_by_service_code().get(area_code):
                return kind
            if exchange == _PREMIUM_EXCHANGE and self.region(phone) in _WITH_PREMIUM_EXCHANGE:
                return NumberType.PREMIUM
            if area_code in _zones_by_area_code():
                return None
        number = _parse(phone)
        return _LIBRARY_TYPES.get(phonenumbers.number_type(number)) if number else None


def _spellings(phone: str) -> list[str]:
    """List the possible spellings: the number as written, without a trunk prefix, without a doubled country code.

    The number as written comes first: a leading zero belongs to the number in Italy and elsewhere. The library's parser
    knows the trunk prefix of each country. People also write a zero where there is none.
    """
    number = _parse(phone)
    if number is None:
        return []
    code = str(number.country_code)
    national = phone.removeprefix(f"+{code}")
    without_zero = f"+{code}{national.removeprefix('0')}"
    doubled = _spellings(f"+{national}") if national.startswith(code) else []
    return [phone, _formatted(number) or phone, without_zero, *doubled]


def _number(phone: str) -> phonenumbers.PhoneNumber | None:
    """Parse the number exactly as it is written. The library's own parser drops a presumed trunk prefix."""
    parsed = _parse(phone)
    if parsed is None:
        return None
    national = phone.removeprefix(f"+{parsed.country_code}")
    zeros = len(national) - len(national[:-1].lstrip("0")) - 1
    return phonenumbers.PhoneNumber(
        country_code=parsed.country_code,
        national_number=int(national),
        italian_leading_zero=zeros > 0 or None,
        number_of_leading_zeros=zeros if zeros > 1 else None,
    )


def _is_possible(phone: str) -> bool:
    number = _number(phone)
    if number is None:
        return False
    if number.country_code == 1:
        return _NORTH_AMERICAN.fullmatch(phone) is not None
    return phonenumbers.is_possible_number_with_reason(number) == phonenumbers.ValidationResult.IS_POSSIBLE


def _is_assigned(phone: str) -> bool:
    """Whether the metadata says that the number may be in use."""
    in_plan = _NORTH_AMERICAN.fullmatch(phone)
    if in_plan and (in_plan[1] in _zones_by_area_code() or in_plan[1] in _types_by_service_code()):
        return True
    number = _number(phone)
    if number is None or (number.country_code == 1 and not in_plan):
        return False
    return phonenumbers.is_valid_number(number)


def _formatted(number: phonenumbers.PhoneNumber | None) -> str | None:
    if number is None:
        return None
    phone: str = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return phone


def _parse(text: str, country: str | None = None) -> phonenumbers.PhoneNumber | None:
    """Parse E.164, or digits as they are dialed in a country."""
    if country is None and not E164.fullmatch(text):
        return None
    try:
        return phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
