"""The spare-parts list of a quarry with an asphalt plant: one section a part, questions that many parts answer."""

import random

MACHINES = {
    "JC-01": "jaw crusher", "CC-02": "cone crusher", "IC-03": "impact crusher", "VS-11": "primary screen",
    "VS-12": "sand screen", "BC-21": "belt conveyor 1", "BC-22": "belt conveyor 2", "BC-23": "belt conveyor 3",
    "BE-31": "hot elevator", "DD-40": "drying drum", "BU-41": "burner", "MX-50": "asphalt mixer",
    "SP-60": "slurry pump", "CP-70": "compressor",
}
CRUSHERS, SCREENS = ["JC-01", "CC-02", "IC-03"], ["VS-11", "VS-12"]
BELTS, HOT = ["BC-21", "BC-22", "BC-23"], ["BE-31", "DD-40", "MX-50"]
SUPPLIERS = ["Norvik Antriebe", "Delmar Industrial", "Steinfeld Technik", "Orwell Supplies", "Pascual Suministros"]

# Kind: name in the list, machines, variants (size, material and the like), number of parts, and how people say it.
KINDS = {
    "ball bearing": ("Deep groove ball bearing", BELTS + ["CP-70", "SP-60"],
                     ["6205 2RS", "6206 2RS", "6208 C3", "6305 2RS", "6309 C3", "6312 C3"], 16, "ball bearings"),
    "roller bearing": ("Spherical roller bearing", CRUSHERS + SCREENS + HOT,
                       ["22212 E", "22216 EK", "22220 E", "22320 CC", "23218 CC"], 18, "roller bearings"),
    "seal ring": ("Radial shaft seal ring", CRUSHERS + ["SP-60", "MX-50", "CP-70"],
                  ["45x62x8 NBR", "60x80x10 NBR", "75x100x10 FKM", "90x120x12 FKM"], 16, "shaft seals"),
    "v-belt": ("Narrow V-belt, matched set", CRUSHERS + SCREENS + ["CP-70"],
               ["SPB 2120", "SPB 2800", "SPC 3350", "SPC 4500"], 14, "V-belts"),
    "idler": ("Carrying idler", BELTS, ["108x315", "108x465", "133x465", "133x530"], 14, "rollers"),
    "scraper": ("Belt scraper blade", BELTS,
                ["650 polyurethane", "800 polyurethane", "650 hard metal", "800 hard metal"], 12, "scraper blades"),
    "mesh": ("Screen mesh", SCREENS,
             ["2 mm woven wire", "5 mm woven wire", "8 mm rubber", "16 mm rubber", "22 mm perforated plate"], 14,
             "screen decks"),
    "liner": ("Wear liner", CRUSHERS + ["MX-50"],
              ["manganese steel 14 %", "manganese steel 18 %", "chromium cast iron"], 16, "wear liners"),
    "hose": ("Hydraulic hose", CRUSHERS + ["MX-50"],
             ["DN 12 1.2 m", "DN 16 2.0 m", "DN 20 1.6 m", "DN 25 3.1 m"], 14, "hydraulic hoses"),
    "filter": ("Filter element", CRUSHERS + ["CP-70", "BU-41"],
               ["10 micron return", "25 micron suction", "intake air paper", "fuel oil 60 micron"], 14, "filters"),
    "contactor": ("Motor contactor", BELTS + SCREENS + ["SP-60"],
                  ["18 A 230 V", "38 A 230 V", "80 A 24 V"], 12, "contactors"),
    "switch": ("Proximity switch", BELTS + ["BE-31", "VS-11"],
               ["M18 PNP", "M30 PNP", "M30 namur"], 12, "proximity switches"),
    "thermocouple": ("Thermocouple", HOT + ["BU-41"],
                     ["type K 250 mm", "type K 500 mm", "type N 500 mm"], 12, "thermocouples"),
    "coupling": ("Flexible coupling element", BELTS + ["SP-60", "DD-40"],
                 ["size 75 rubber", "size 90 rubber", "size 110 polyurethane"], 12, "coupling elements"),
    "gasket": ("Flange gasket", ["SP-60", "BU-41", "CP-70", "DD-40"],
               ["DN 50 EPDM", "DN 80 EPDM", "DN 50 graphite", "DN 100 graphite"], 12, "gaskets"),
    "chain": ("Elevator chain link", ["BE-31"], ["pitch 142 forged", "pitch 160 forged"], 6, "chain links"),
    "nozzle": ("Burner nozzle", ["BU-41"],
               ["45 degrees 120 kg/h", "60 degrees 120 kg/h", "60 degrees 160 kg/h"], 8, "burner nozzles"),
}
STORES = {"a": "Store A, workshop hall", "b": "Store B, container yard", "c": "Store C, asphalt plant"}
BELOW = "Below the re-order level, order placed on {date}."
ENOUGH = ["Stock is sufficient.", "No order open.", "Counted in the last inventory."]
UNANSWERABLE = [
    "tyres for the wheel loader", "bearings for CC-09", "toner for the office printer", "spares for BC-27",
    "impeller of the fire pump", "windscreen for the dumper", "who signs for orders over 5000",
    "rail clamps for crane KR-80",
]


def parts():
    """The parts, each a dict with `store`, `heading`, `text` and the values that questions ask for."""
    rng = random.Random(31)
    kinds = [kind for kind, (_, _, _, count, _) in KINDS.items() for _ in range(count)]
    rng.shuffle(kinds)
    return [_part(rng, number, kind) for number, kind in enumerate(kinds)]


def _part(rng, number, kind):
    title, machines, variants, _, _ = KINDS[kind]
    fits = sorted(rng.sample(machines, min(len(machines), rng.randint(1, 3))))
    variant, supplier, store = rng.choice(variants), rng.choice(SUPPLIERS), rng.choice(list(STORES))
    level, is_below = rng.randint(2, 6), rng.random() < 0.3
    stock = rng.randrange(level) if is_below else level + rng.randint(0, 9)
    date = f"2026-{rng.randint(3, 5):02}-{rng.randint(1, 28):02}"
    named = ", ".join(f"{MACHINES[machine]} {machine}" for machine in fits)
    status = BELOW.format(date=date) if is_below else rng.choice(ENOUGH)
    return {
        "kind": kind, "fits": fits, "variant": variant, "supplier": supplier, "store": store, "is_below": is_below,
        "heading": f"{40 + number % 5}-{2040 + 7 * number} {title} {variant}",
        "text": f"Fits {named}. In store: {stock}, re-order at {level}, bin {store.upper()}-{rng.randint(1, 24):02}-"
                f"{rng.randint(1, 6)}. {status} Supplier {supplier}, lead time {rng.randint(1, 16)} weeks.",
    }


# A word of the variant (a material, mostly), its kind, and the question.
VARIANTS = [
    ("FKM", "seal ring", "shaft seals in FKM"), ("NBR", "seal ring", "which nbr seal rings do we stock"),
    ("polyurethane", "scraper", "polyurethane blades for belt scrapers"), ("graphite", "gasket", "graphite gaskets"),
    ("rubber", "mesh", "rubber screen mesh"), ("manganese", "liner", "manganese wear liners"),
    ("type K", "thermocouple", "type k thermocouples"),
]


def questions(stock):
    """Questions with the parts that are relevant, 3 to 15 each; and those without an answer."""
    rng = random.Random(32)
    candidates = [("machine", f"{KINDS[kind][4]} for {rng.choice([machine, 'the ' + name])}",
                   [p for p in stock if p["kind"] == kind and machine in p["fits"]])
                  for kind in KINDS for machine, name in MACHINES.items()]
    by_supplier = [("supplier", f"{KINDS[kind][4]} from {supplier}",
                    [p for p in stock if (p["kind"], p["supplier"]) == (kind, supplier)])
                   for kind in KINDS for supplier in SUPPLIERS]
    below = [("below", f"which {KINDS[kind][4]} are below the re-order level?",
              [p for p in stock if p["kind"] == kind and p["is_below"]]) for kind in KINDS]
    below += [("below", f"parts for {machine} that are below re-order level",
               [p for p in stock if machine in p["fits"] and p["is_below"]]) for machine in MACHINES]
    by_variant = [("variant", text, [p for p in stock if p["kind"] == kind and word in p["variant"]])
                  for word, kind, text in VARIANTS]
    asked = []
    for group, count in [(candidates, 16), (by_supplier, 7), (below, 10), (by_variant, 7)]:
        usable = [question for question in group if 3 <= len(question[2]) <= 15]
        asked += rng.sample(usable, count)
    return asked + [("none", text, []) for text in UNANSWERABLE]
