"""Rows of a shop's table as COPY reads them: rows.py TABLE NUMBER. The same ones each time."""

import json
import random
import sys
import uuid

WORDS = """the of and to in is that for it as was with be by on not he his but at are this have from or had an they which one you
were all her she there would their we him been has when who will no more if out so up said what its about than into them can
only other time new some could these two may first then do any like my now over such our man me even most made after also did
many before must through back years where much your way well down should because each just those people too little state good
very make world still see own work long get here between both life being under three never day same another know while last
might us great old year off come since against go came right used take""".split()
FIRST = "Anna Ben Clara David Emma Felix Greta Hans Ida Jonas Karla Leo Mia Noah Olga Paul Quinn Rosa Samuel Tina Uwe Vera Yusuf Zoë Jürgen Żaneta".split()
LAST = "Smith Müller García Nowak Rossi Jensen Kowalski Dubois Novák Silva Andersson Ivanov Tanaka Li Kim Haddad Okafor Cohen O'Brien Groß".split()
CITIES = "Berlin Paris Madrid Warszawa Roma København Lisboa Praha Wien Zürich London Oslo Helsinki Dublin Gdańsk".split()
AGENTS = ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X)", "curl/8.5")
KINDS = ("page_view", "page_view", "page_view", "add_to_cart", "checkout", "login", "search")
STATES = ("paid", "shipped", "delivered", "delivered", "delivered", "cancelled")

table, number = sys.argv[1], int(sys.argv[2])
rnd = random.Random(table)
r, choice = rnd.random, rnd.choice


def some_time():
    s = int(r() * 94608000)
    day, month, year = 1 + s // 86400 % 28, 1 + s // 2419200 % 12, 2023 + s // 31536000
    return f"{year}-{month:02}-{day:02} {s // 3600 % 24:02}:{s // 60 % 60:02}:{s % 60:02}.{int(r() * 1e6):06}+00"


def users(i):
    first, last = choice(FIRST), choice(LAST)
    mail = f"{first.lower()}.{last.lower()}{i}@example.com"
    return f"{i}\t{mail}\t{first} {last}\t{choice(CITIES)}\t{some_time()}\t{'t' if r() < 0.9 else 'f'}\t{rnd.getrandbits(128):032x}"


def products(i):
    text = " ".join(choice(WORDS) for _ in range(30))
    return f"{i}\tSKU-{int(r() * 1e8):08}\t{choice(WORDS)} {choice(WORDS)} {choice(WORDS)}\t{text}\t{r() * 500:.2f}\t{int(r() * 1000)}"


def orders(i):
    note = "\\N" if r() < 0.6 else " ".join(choice(WORDS) for _ in range(int(r() * 20) + 1))
    address = f"{choice(LAST)} {int(r() * 200)}, {10000 + int(r() * 89999)} {choice(CITIES)}"
    return f"{i}\t{int(r() * 1.5e6) + 1}\t{choice(STATES)}\t{some_time()}\t{r() * 900:.2f}\t{address}\t{note}"


def order_items(i):
    return f"{i // 3 + 1}\t{int(r() * 2e5) + 1}\t{1 + int(r() * r() * 6)}\t{r() * 500:.2f}"


def events(_):
    address = f"10.{int(r() * 256)}.{int(r() * 256)}.{int(r() * 256)}"
    payload = json.dumps({"path": f"/product/{int(r() * 2e5)}", "ip": address, "ms": int(r() * 900), "agent": choice(AGENTS)})
    return f"{uuid.UUID(int=rnd.getrandbits(128))}\t{some_time()}\t{choice(KINDS)}\t{int(r() * 1.5e6) + 1}\t{payload}"


row = {"users": users, "products": products, "orders": orders, "order_items": order_items, "events": events}[table]
for start in range(1, number + 1, 5000):
    sys.stdout.write("".join(row(i) + "\n" for i in range(start, min(start + 5000, number + 1))))
