"""A shift log of a wood-pellet works: each entry has one event at one machine, told in one of several wordings."""

import random

MACHINES = {
    "BC-101": "log yard belt",
    "CH-110": "chipper",
    "HM-210": "hammer mill 1",
    "HM-220": "hammer mill 2",
    "DR-300": "drum dryer",
    "RV-310": "rotary valve under the cyclone",
    "FN-320": "exhaust fan",
    "PM-410": "pellet press 1",
    "PM-420": "pellet press 2",
    "PM-430": "pellet press 3",
    "CL-500": "pellet cooler",
    "SC-510": "sieve",
    "BE-520": "bucket elevator",
    "BO-700": "hot-water boiler",
    "CP-800": "air compressor",
}

# Event: machines, findings, actions, and how people ask for it at a machine.
EVENTS = {
    "bearing": (
        ["HM-210", "HM-220", "PM-410", "PM-420", "PM-430", "FN-320"],
        ["{m}: bearing temperature climbed to {n} degrees.", "Bearing housing of {m} too hot to touch, {n} °C.",
         "High temperature alarm from the bearing of {m}, {n} °C on the screen.",
         "{m} smelt of burnt grease, bearing measured {n} °C with the hand thermometer."],
        ["Greased with eight strokes, temperature went down within the hour.", "Load cut by a fifth and watched.",
         "Stopped for cooling, fitter is going to look at the grease line."],
        ["hot bearings at {m}", "When did {m} overheat at the bearings?", "bearing temp {m} history"],
    ),
    "jam": (
        ["CH-110", "RV-310", "BE-520", "SC-510", "BC-101"],
        ["{m} choked with material, nothing came through.", "Blockage at {m}, cleared after {n} minutes.",
         "{m} plugged again, wet bark packed solid.", "Material bridged in front of {m} and it stood still."],
        ["Locked out and dug free with the long hook.", "Emptied by hand through the side hatch.",
         "Feed stopped upstream, poked free, restarted empty."],
        ["blockages at {m}", "how often was {m} plugged?", "{m} choked, what did we do before"],
    ),
    "tracking": (
        ["BC-101", "BE-520"],
        ["Belt of {m} ran to one side and touched the frame.", "{m}: misalignment switch stopped the belt.",
         "Belt at {m} off centre by {n} mm at the tail."],
        ["Tail pulley adjusted by half a turn.", "Build-up scraped off the idler, runs true again."],
        ["belt running off at {m}", "{m} belt misaligned when"],
    ),
    "metal": (
        ["HM-210", "HM-220", "CH-110"],
        ["Metal detector ahead of {m} stopped the feed.", "Found a bolt at the magnet before {m}.",
         "{m} banged once, a piece of chain was inside.", "Nails and a steel wedge taken from the trap of {m}."],
        ["Feed searched, nothing further found.", "Supplier of the logs has been told.", "Screens checked, no damage."],
        ["metal in the feed of {m}", "tramp iron {m}"],
    ),
    "soft": (
        ["PM-410", "PM-420", "PM-430"],
        ["Pellets of {m} crumbled, durability only {n} per cent.", "{m} makes short and soft pellets.",
         "Too many fines behind {m}, hardness poor.", "Laboratory complains about crumbly pellets from {m}."],
        ["Steam raised a little and rollers set closer.", "More moisture given, better after half an hour.",
         "Die is at the end of its life, change is planned."],
        ["soft pellets from {m}", "{m} bad durability"],
    ),
    "sparks": (
        ["DR-300", "HM-220", "CL-500"],
        ["Spark detector behind {m} released the water.", "{m}: {n} sparks counted, extinguishing fired once.",
         "Glowing particles seen by the detector at {m}, line went down by itself."],
        ["Duct inspected, no nest of embers, line restarted.", "Water drained and nozzles tested.",
         "Fire watch kept for an hour afterwards."],
        ["sparks at {m}", "spark extinguishing released {m}"],
    ),
    "vibration": (
        ["FN-320", "HM-210", "HM-220", "SC-510"],
        ["{m} shakes, {n} mm/s on the pen.", "Strong vibration at {m}, floor plates rattle.",
         "{m} out of balance since midnight.", "Vibration warning of {m} came four times."],
        ["Build-up knocked off the rotor.", "Foundation bolts retightened.",
         "Measured again in an hour, a bit better."],
        ["vibration on {m}", "{m} shaking, earlier entries"],
    ),
    "wet": (
        ["DR-300"],
        ["Chips left {m} too wet, {n} per cent moisture.", "{m}: outlet moisture above the limit for an hour.",
         "Sawdust behind {m} damp, oven sample confirmed it."],
        ["Throughput lowered until it was dry enough.", "Inlet temperature raised by ten degrees."],
        ["moisture too high after {m}", "damp chips out of {m}"],
    ),
    "oil": (
        ["PM-410", "PM-420", "CH-110", "CP-800"],
        ["Oil on the floor under {m}, about {n} litres.", "{m} loses oil at a hose fitting.",
         "Oil level of {m} low again, drips from the shaft seal.", "Puddle of oil beside {m}."],
        ["Fitting tightened and binder spread.", "Topped up, seal is on the list.", "Hose exchanged, floor cleaned."],
        ["oil leaks at {m}", "{m} losing oil"],
    ),
    "air": (
        ["CP-800"],
        ["Air pressure fell to 5.{n} bar although {m} ran loaded.", "{m} cannot hold the network pressure.",
         "Low compressed-air alarm, {m} on full load."],
        ["Leak found at a filter bag valve.", "Second machine switched on."],
        ["compressed air pressure dropping", "{m} cannot keep the pressure"],
    ),
    "flame": (
        ["BO-700"],
        ["{m} lost its flame, relit after the purge.", "Flame failure on {m}.",
         "Fire in {m} went out, hopper was empty."],
        ["Flame eye wiped.", "Fuel screw filled again, started on the first try."],
        ["flame failures of {m}", "{m} went out"],
    ),
    "ash": (
        ["BO-700"],
        ["Ash screw of {m} stuck on a lump of slag.", "{m}: de-ashing blocked.",
         "Slag in the ash box of {m}, screw stopped."],
        ["Slag broken with the bar from outside.", "Grate speed raised, softer fire."],
        ["slag blocks ash removal {m}", "ash screw {m}"],
    ),
    "sensor": (
        ["BE-520", "DR-300", "CL-500", "BO-700"],
        ["Probe at {m} showed nonsense, {n} and then zero.", "False signal from a limit switch of {m}.",
         "{m} stopped although nothing was wrong: faulty sensor.", "Transmitter of {m} frozen at one value."],
        ["Plug cleaned, signal is back.", "Instrument technician exchanged it.",
         "Not bypassed, ran in manual meanwhile."],
        ["wrong sensor signals at {m}", "{m} false trips from an instrument"],
    ),
    "dust": (
        ["RV-310", "SC-510", "BE-520", "CL-500"],
        ["Dust blows out of a flange of {m}.", "Thick dust around {m}, cover seal torn.",
         "{m} leaks dust on the platform.", "Cleaned {n} buckets of dust from below {m}."],
        ["Seal strip glued on for now.", "Bolts of the cover tightened, vacuumed."],
        ["dust leaks at {m}", "{m} dusty, seal?"],
    ),
    "overload": (
        ["CH-110", "HM-210", "PM-430", "BC-101"],
        ["Motor of {m} tripped on overload at {n} A.", "{m}: thermal relay dropped out.",
         "Overcurrent trip of {m} during start.", "Drive of {m} kicked out, current too high."],
        ["Relay reset by the electrician after ten minutes.", "Started unloaded, current normal.",
         "Feed rate limited until the day shift."],
        ["motor trips on {m}", "overcurrent {m}", "why did the drive of {m} drop out"],
    ),
    "vbelt": (
        ["FN-320", "CP-800"],
        ["Drive belts of {m} squeal.", "One V-belt of {m} snapped.", "{m}: belts slack, speed {n} rpm too low."],
        ["Tension corrected with the gauge.", "Whole set of belts exchanged."],
        ["V-belts {m}", "squealing drive belts on {m}"],
    ),
}

CHECKS = [
    "Round at {m}: nothing found, all readings normal.", "{m} checked twice, quiet and cool.",
    "Lubrication round done at {m}, as planned.", "{m} handed over in good order after weekly cleaning.",
]
REMARKS = [
    "Throughput {n} t/h at the time, spruce with a little larch.", "Two people on the job, {n} minutes in all.",
    "Told the control room on channel 2 and wrote it on the board, {n} minutes.",
    "Outside it was {n} degrees with light rain, yard lights on.", "Production went on with the other line at {n} t/h.",
    "Handed over to the next crew with a photo, number {n} in the folder.",
]
MONTHS = {"01": ("January", 31), "02": ("February", 28), "03": ("March", 31)}

# Event, and the question for all machines together.
EVERYWHERE = {
    "soft": "all complaints about crumbly pellets", "metal": "where did we find metal in the wood?",
    "tracking": "belts running to one side, all entries", "sparks": "every time the spark extinguishing fired",
    "vbelt": "V-belt problems this winter", "oil": "which machines lost oil?",
}
# Events that count as the same to who asks for a month: a blocked ash screw is a blockage too.
ALSO = {"jam": ["ash"]}
IN_MONTH = {
    ("jam", "01"): "blockages in January 2026", ("jam", "03"): "what got plugged in March 2026",
    ("bearing", "02"): "hot bearings February 2026", ("overload", "02"): "motor overload trips in February 2026",
    ("vibration", "01"): "vibration entries January 2026", ("dust", "03"): "dust leaks March 2026",
    ("sensor", "01"): "faulty sensors in January 2026", ("bearing", "03"): "bearings running hot in March 2026",
}
UNANSWERABLE = [
    "flame failure at DR-300", "crumbly pellets from PM-440", "V-belt changed on HM-250", "who got hurt in February",
    "refrigerant leak at CL-500", "price of the new chipper knives", "crane inspection January", "ash screw of BO-710",
]


def entries():
    """The entries in order of time, each a dict with `heading`, `text`, `machine`, `event` and `month`."""
    rng = random.Random(21)
    pairs = [(machine, event) for event, (machines, *_) in EVENTS.items() for machine in machines]
    events = [pair for pair in pairs for _ in range(rng.randint(3, 7))]
    events += [(rng.choice(list(MACHINES)), None) for _ in range(24)]
    rng.shuffle(events)
    days = [(month, day) for month, (_, count) in MONTHS.items() for day in range(1, count + 1)]
    slots = [(*day, hour) for day in days for hour in range(24)]
    return [_entry(rng, slot, *event) for slot, event in zip(sorted(rng.sample(slots, len(events))), events)]


def _entry(rng, slot, machine, event):
    month, day, hour = slot
    findings, actions = EVENTS[event][1:3] if event else (CHECKS, ["No work request.", "Signed on the round sheet."])
    name = machine if rng.random() < 0.6 else "the " + MACHINES[machine]
    sentences = [rng.choice(findings), rng.choice(actions), *rng.sample(REMARKS, 2)]
    texts = [sentence.format(m=name, n=rng.randint(2, 9) if "5.{n}" in sentence else _number(rng, sentence))
             for sentence in sentences]
    shift = ["night", "early", "late"][(hour + 2) % 24 // 8]
    time = f"2026-{month}-{day:02} {hour:02}:{rng.randrange(0, 60, 5):02}"
    return {
        "heading": f"{time}, {shift} shift, crew {rng.choice('ABCD')}",
        "text": " ".join(text[0].upper() + text[1:] for text in texts),
        "machine": machine, "event": event, "month": month,
    }


def _number(rng, sentence):
    """A plausible value for the number in a sentence."""
    ranges = {
        "°C": (82, 104), "degrees.": (82, 104), "minutes": (10, 90), " mm at": (15, 60), "durability": (88, 95),
        "moisture": (14, 21), "t/h": (3, 9), "mm/s": (7, 16), " A.": (80, 220), "litres": (1, 6), "buckets": (2, 8),
        "Outside": (-9, 8), "folder": (100, 999), "sparks": (2, 30), "rpm": (40, 150), "nonsense": (300, 900),
    }
    low, high = next((bounds for word, bounds in ranges.items() if word in sentence), (1, 9))
    return rng.randint(low, high)


def questions(log):
    """Questions with the entries that are relevant, at least three each; and those without an answer."""
    rng = random.Random(22)
    pairs = [(m, event) for event, (machines, *_) in EVENTS.items() for m in machines]
    asked = []
    for machine, event in sorted(rng.sample(pairs, 26)):
        name = machine if rng.random() < 0.5 else MACHINES[machine]
        text = rng.choice(EVENTS[event][3]).format(m=name)
        asked.append(("machine", text, [e for e in log if (e["machine"], e["event"]) == (machine, event)]))
    for event, text in EVERYWHERE.items():
        asked.append(("event", text, [e for e in log if e["event"] == event]))
    for (event, month), text in IN_MONTH.items():
        events = [event, *ALSO.get(event, [])]
        asked.append(("month", text, [e for e in log if e["event"] in events and e["month"] == month]))
    return asked + [("none", text, []) for text in UNANSWERABLE]
