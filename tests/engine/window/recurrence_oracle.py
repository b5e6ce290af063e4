#!/usr/bin/env python3
"""recurrence_oracle.py SEED COUNT: random recurrence rules of RFC 5545, and what python-dateutil makes of them.

One line a rule: DTSTART|RULE|END|START,START,... where the starts are all before END. Half of the rules have a DTSTART
that is their first occurrence. Left out is what dateutil (2.8, 2.9) is known to read otherwise than the standard: BYDAY with
and without numbers in one list (it takes days that fit both), and BYWEEKNO 52 and 53 (it has the wrong number of weeks after
some leap years).
"""

import datetime
import random
import sys
import types

from dateutil import rrule

FREQUENCIES = ["DAILY", "WEEKLY", "MONTHLY", "YEARLY"]
DAYS = ["MO", "TU", "WE", "TH", "FR", "SA", "SU"]
YEARS = {"DAILY": 1, "WEEKLY": 2, "MONTHLY": 5, "YEARLY": 10}
MOST = 200


def last_year(year):
    """dateutil looks for the first occurrence up to datetime.MAXYEAR; a rule that nothing fits takes it minutes."""
    shim = types.SimpleNamespace(**vars(datetime))
    shim.MAXYEAR = year
    rrule.datetime = shim


def numbers(rng, least, most, negative, count=3):
    values = [rng.randint(least, most) * (rng.choice([1, 1, -1]) if negative else 1) for _ in range(rng.randint(1, count))]
    return ",".join(map(str, values))


def weekdays(rng, most):
    if most and rng.random() < 0.5:
        return ",".join(f"{rng.choice([1, 1, -1]) * rng.randint(1, most)}{rng.choice(DAYS)}" for _ in range(rng.randint(1, 3)))
    return ",".join(rng.sample(DAYS, rng.randint(1, 5)))


def random_rule(rng, by_date):
    frequency = rng.choice(FREQUENCIES)
    parts = {"FREQ": frequency}
    if rng.random() < 0.4:
        parts["INTERVAL"] = str(rng.choice([2, 2, 3, 4, 5, 7, 13]))
    if rng.random() < 0.25:
        parts["BYMONTH"] = numbers(rng, 1, 12, False)
    if frequency == "YEARLY" and rng.random() < 0.2:
        parts["BYWEEKNO"] = numbers(rng, 1, 51, True)
        parts["BYDAY"] = weekdays(rng, 0)
    elif rng.random() < 0.5:
        most = 0 if frequency in ("DAILY", "WEEKLY") else 53 if frequency == "YEARLY" and "BYMONTH" not in parts else 5
        parts["BYDAY"] = weekdays(rng, most)
    if frequency != "WEEKLY" and rng.random() < 0.3:
        parts["BYMONTHDAY"] = numbers(rng, 1, 31, True, 5)
    if frequency == "YEARLY" and rng.random() < 0.15:
        parts["BYYEARDAY"] = numbers(rng, 1, 366, True, 6)
    if not by_date:
        for name, most in ("BYHOUR", 23), ("BYMINUTE", 59), ("BYSECOND", 59):
            if rng.random() < 0.15:
                parts[name] = numbers(rng, 0, most, False)
    if any(name.startswith("BY") for name in parts) and rng.random() < 0.35:
        parts["BYSETPOS"] = numbers(rng, 1, rng.choice([2, 4, 10, 60]), True)
    if rng.random() < 0.4:
        parts["WKST"] = rng.choice(DAYS)
    return parts


def text_of(moment, by_date):
    return moment.strftime("%Y%m%d" if by_date else "%Y%m%dT%H%M%S")


def occurrences(rule, start, end):
    found = []
    for at in rrule.rrulestr("RRULE:" + rule, dtstart=start):
        if at >= end:
            break
        found.append(at)
        if len(found) == MOST:
            break
    return found


def main():
    rng = random.Random(int(sys.argv[1]))
    for _ in range(int(sys.argv[2])):
        by_date = rng.random() < 0.25
        start = datetime.datetime(rng.randint(1997, 2031), 1, 1) + datetime.timedelta(days=rng.randrange(366))
        if not by_date:
            start += datetime.timedelta(minutes=rng.randrange(1440))
        parts = random_rule(rng, by_date)
        years = YEARS[parts["FREQ"]]
        last_year(start.year + 2 * years + 2)
        rule = ";".join(f"{name}={value}" for name, value in parts.items())
        if rng.random() < 0.5:
            start = next(iter(occurrences(rule, start, start + datetime.timedelta(days=366 * years))), start)
        end = start + datetime.timedelta(days=365 * years)
        limit = rng.random()
        if limit < 0.25:
            rule += f";COUNT={rng.randint(1, 30)}"
        elif limit < 0.5:
            rule += ";UNTIL=" + text_of(start + (end - start) * rng.random(), by_date)
        found = occurrences(rule, start, end)
        if len(found) == MOST:
            end = found.pop()
        print(text_of(start, by_date), rule, text_of(end, False), ",".join(text_of(at, False) for at in found), sep="|")


main()
