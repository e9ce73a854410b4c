--
-- PostgreSQL database dump
--

\restrict fEmsXUM3IVXIAACoc0jJQaohPYV5ZQo3OS9NQDraI0SwG3TAqS2CpG2Ul8JtyDI

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 17.10

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: vehicles; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.vehicles (
    id integer
);


ALTER TABLE public.vehicles OWNER TO postgres;

--
-- Name: cars; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.cars (
    doors integer
)
INHERITS (public.vehicles);


ALTER TABLE public.cars OWNER TO postgres;

--
-- Name: orders; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.orders (
    at date NOT NULL,
    what text
)
PARTITION BY RANGE (at);


ALTER TABLE public.orders OWNER TO postgres;

--
-- Name: orders_2026; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.orders_2026 (
    at date NOT NULL,
    what text
);


ALTER TABLE public.orders_2026 OWNER TO postgres;

--
-- Name: orders_rest; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.orders_rest (
    at date NOT NULL,
    what text
);


ALTER TABLE public.orders_rest OWNER TO postgres;

--
-- Name: users; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.users (
    id integer NOT NULL,
    email text NOT NULL
);


ALTER TABLE public.users OWNER TO postgres;

--
-- Name: users_id_seq; Type: SEQUENCE; Schema: public; Owner: postgres
--

CREATE SEQUENCE public.users_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;


ALTER SEQUENCE public.users_id_seq OWNER TO postgres;

--
-- Name: users_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.users_id_seq OWNED BY public.users.id;


--
-- Name: orders_2026; Type: TABLE ATTACH; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.orders ATTACH PARTITION public.orders_2026 FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');


--
-- Name: orders_rest; Type: TABLE ATTACH; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.orders ATTACH PARTITION public.orders_rest DEFAULT;


--
-- Name: users id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.users ALTER COLUMN id SET DEFAULT nextval('public.users_id_seq'::regclass);


--
-- Data for Name: cars; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.cars VALUES
	(1, 4);


--
-- Data for Name: orders_2026; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.orders_2026 VALUES
	('2026-03-03', 'x');


--
-- Data for Name: orders_rest; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.orders_rest VALUES
	('2020-01-01', 'y');


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: postgres
--

INSERT INTO public.users VALUES
	(1, 'user1@example.com'),
	(2, 'user2@example.com'),
	(3, 'user3@example.com'),
	(4, 'user4@example.com'),
	(5, 'user5@example.com'),
	(6, 'user6@example.com'),
	(7, 'user7@example.com'),
	(8, 'user8@example.com'),
	(9, 'user9@example.com'),
	(10, 'user10@example.com');
INSERT INTO public.users VALUES
	(11, 'user11@example.com'),
	(12, 'user12@example.com'),
	(13, 'user13@example.com'),
	(14, 'user14@example.com'),
	(15, 'user15@example.com'),
	(16, 'user16@example.com'),
	(17, 'user17@example.com'),
	(18, 'user18@example.com'),
	(19, 'user19@example.com'),
	(20, 'user20@example.com');
INSERT INTO public.users VALUES
	(21, 'user21@example.com'),
	(22, 'user22@example.com'),
	(23, 'user23@example.com'),
	(24, 'user24@example.com'),
	(25, 'user25@example.com'),
	(26, 'user26@example.com'),
	(27, 'user27@example.com'),
	(28, 'user28@example.com'),
	(29, 'user29@example.com'),
	(30, 'user30@example.com');


--
-- Data for Name: vehicles; Type: TABLE DATA; Schema: public; Owner: postgres
--



--
-- Name: users_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.users_id_seq', 1, false);


--
-- Name: 100002; Type: BLOB METADATA; Schema: -; Owner: postgres
--

SELECT pg_catalog.lo_create('100002');

ALTER LARGE OBJECT 100002 OWNER TO postgres;

--
-- Data for Name: 100002; Type: BLOBS; Schema: -; Owner: postgres
--

BEGIN;

SELECT pg_catalog.lo_open('100002', 131072);
SELECT pg_catalog.lowrite(0, '\x736d616c6c');
SELECT pg_catalog.lo_close(0);

COMMIT;

--
-- Name: users users_email_key; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_email_key UNIQUE (email);


--
-- Name: users users_pkey; Type: CONSTRAINT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (id);


--
-- PostgreSQL database dump complete
--

\unrestrict fEmsXUM3IVXIAACoc0jJQaohPYV5ZQo3OS9NQDraI0SwG3TAqS2CpG2Ul8JtyDI

