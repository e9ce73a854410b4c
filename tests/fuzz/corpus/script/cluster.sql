--
-- PostgreSQL database cluster dump
--

\restrict k

SET x = on;

\connect template1

--
-- PostgreSQL database dump
--

\restrict ipO7S64yCWQzuSdpO0pYgg1NBXL3TxWVkK98JVOID2QMS6RAP5g3vNBS78DsP0H

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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
-- Name: users; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.users (
    id integer NOT NULL,
    email text NOT NULL,
    name text
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


ALTER TABLE public.users_id_seq OWNER TO postgres;

--
-- Name: users_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.users_id_seq OWNED BY public.users.id;


--
-- Name: users id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.users ALTER COLUMN id SET DEFAULT nextval('public.users_id_seq'::regclass);


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.users (id, email, name) FROM stdin;
1	user1@example.com	Nämé 1
2	user2@example.com	Nämé 2
3	user3@example.com	Nämé 3
4	user4@example.com	Nämé 4
5	user5@example.com	Nämé 5
6	user6@example.com	Nämé 6
7	user7@example.com	\N
8	user8@example.com	Nämé 8
9	user9@example.com	Nämé 9
10	user10@example.com	Nämé 10
11	user11@example.com	Nämé 11
12	user12@example.com	Nämé 12
13	user13@example.com	Nämé 13
14	user14@example.com	\N
15	user15@example.com	Nämé 15
16	user16@example.com	Nämé 16
17	user17@example.com	Nämé 17
18	user18@example.com	Nämé 18
19	user19@example.com	Nämé 19
20	user20@example.com	Nämé 20
21	user21@example.com	\N
22	user22@example.com	Nämé 22
23	user23@example.com	Nämé 23
24	user24@example.com	Nämé 24
25	user25@example.com	Nämé 25
26	user26@example.com	Nämé 26
27	user27@example.com	Nämé 27
28	user28@example.com	\N
29	user29@example.com	Nämé 29
30	user30@example.com	Nämé 30
31	user31@example.com	Nämé 31
32	user32@example.com	Nämé 32
33	user33@example.com	Nämé 33
34	user34@example.com	Nämé 34
35	user35@example.com	\N
36	user36@example.com	Nämé 36
37	user37@example.com	Nämé 37
38	user38@example.com	Nämé 38
39	user39@example.com	Nämé 39
40	user40@example.com	Nämé 40
41	user41@example.com	Nämé 41
42	user42@example.com	\N
43	user43@example.com	Nämé 43
44	user44@example.com	Nämé 44
45	user45@example.com	Nämé 45
46	user46@example.com	Nämé 46
47	user47@example.com	Nämé 47
48	user48@example.com	Nämé 48
49	user49@example.com	\N
50	user50@example.com	Nämé 50
51	user51@example.com	Nämé 51
52	user52@example.com	Nämé 52
53	user53@example.com	Nämé 53
54	user54@example.com	Nämé 54
55	user55@example.com	Nämé 55
56	user56@example.com	\N
57	user57@example.com	Nämé 57
58	user58@example.com	Nämé 58
59	user59@example.com	Nämé 59
60	user60@example.com	Nämé 60
61	user61@example.com	Nämé 61
62	user62@example.com	Nämé 62
63	user63@example.com	\N
64	user64@example.com	Nämé 64
65	user65@example.com	Nämé 65
66	user66@example.com	Nämé 66
67	user67@example.com	Nämé 67
68	user68@example.com	Nämé 68
69	user69@example.com	Nämé 69
70	user70@example.com	\N
71	user71@example.com	Nämé 71
72	user72@example.com	Nämé 72
73	user73@example.com	Nämé 73
74	user74@example.com	Nämé 74
75	user75@example.com	Nämé 75
76	user76@example.com	Nämé 76
77	user77@example.com	\N
78	user78@example.com	Nämé 78
79	user79@example.com	Nämé 79
80	user80@example.com	Nämé 80
81	user81@example.com	Nämé 81
82	user82@example.com	Nämé 82
83	user83@example.com	Nämé 83
84	user84@example.com	\N
85	user85@example.com	Nämé 85
86	user86@example.com	Nämé 86
87	user87@example.com	Nämé 87
88	user88@example.com	Nämé 88
89	user89@example.com	Nämé 89
90	user90@example.com	Nämé 90
91	user91@example.com	\N
92	user92@example.com	Nämé 92
93	user93@example.com	Nämé 93
94	user94@example.com	Nämé 94
95	user95@example.com	Nämé 95
96	user96@example.com	Nämé 96
97	user97@example.com	Nämé 97
98	user98@example.com	\N
99	user99@example.com	Nämé 99
100	user100@example.com	Nämé 100
\.


--
-- Name: users_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.users_id_seq', 1, false);


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

\unrestrict ipO7S64yCWQzuSdpO0pYgg1NBXL3TxWVkK98JVOID2QMS6RAP5g3vNBS78DsP0H


\connect shop

--
-- PostgreSQL database dump
--

\restrict ipO7S64yCWQzuSdpO0pYgg1NBXL3TxWVkK98JVOID2QMS6RAP5g3vNBS78DsP0H

-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
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
-- Name: users; Type: TABLE; Schema: public; Owner: postgres
--

CREATE TABLE public.users (
    id integer NOT NULL,
    email text NOT NULL,
    name text
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


ALTER TABLE public.users_id_seq OWNER TO postgres;

--
-- Name: users_id_seq; Type: SEQUENCE OWNED BY; Schema: public; Owner: postgres
--

ALTER SEQUENCE public.users_id_seq OWNED BY public.users.id;


--
-- Name: users id; Type: DEFAULT; Schema: public; Owner: postgres
--

ALTER TABLE ONLY public.users ALTER COLUMN id SET DEFAULT nextval('public.users_id_seq'::regclass);


--
-- Data for Name: users; Type: TABLE DATA; Schema: public; Owner: postgres
--

COPY public.users (id, email, name) FROM stdin;
1	user1@example.com	Nämé 1
2	user2@example.com	Nämé 2
3	user3@example.com	Nämé 3
4	user4@example.com	Nämé 4
5	user5@example.com	Nämé 5
6	user6@example.com	Nämé 6
7	user7@example.com	\N
8	user8@example.com	Nämé 8
9	user9@example.com	Nämé 9
10	user10@example.com	Nämé 10
11	user11@example.com	Nämé 11
12	user12@example.com	Nämé 12
13	user13@example.com	Nämé 13
14	user14@example.com	\N
15	user15@example.com	Nämé 15
16	user16@example.com	Nämé 16
17	user17@example.com	Nämé 17
18	user18@example.com	Nämé 18
19	user19@example.com	Nämé 19
20	user20@example.com	Nämé 20
21	user21@example.com	\N
22	user22@example.com	Nämé 22
23	user23@example.com	Nämé 23
24	user24@example.com	Nämé 24
25	user25@example.com	Nämé 25
26	user26@example.com	Nämé 26
27	user27@example.com	Nämé 27
28	user28@example.com	\N
29	user29@example.com	Nämé 29
30	user30@example.com	Nämé 30
31	user31@example.com	Nämé 31
32	user32@example.com	Nämé 32
33	user33@example.com	Nämé 33
34	user34@example.com	Nämé 34
35	user35@example.com	\N
36	user36@example.com	Nämé 36
37	user37@example.com	Nämé 37
38	user38@example.com	Nämé 38
39	user39@example.com	Nämé 39
40	user40@example.com	Nämé 40
41	user41@example.com	Nämé 41
42	user42@example.com	\N
43	user43@example.com	Nämé 43
44	user44@example.com	Nämé 44
45	user45@example.com	Nämé 45
46	user46@example.com	Nämé 46
47	user47@example.com	Nämé 47
48	user48@example.com	Nämé 48
49	user49@example.com	\N
50	user50@example.com	Nämé 50
51	user51@example.com	Nämé 51
52	user52@example.com	Nämé 52
53	user53@example.com	Nämé 53
54	user54@example.com	Nämé 54
55	user55@example.com	Nämé 55
56	user56@example.com	\N
57	user57@example.com	Nämé 57
58	user58@example.com	Nämé 58
59	user59@example.com	Nämé 59
60	user60@example.com	Nämé 60
61	user61@example.com	Nämé 61
62	user62@example.com	Nämé 62
63	user63@example.com	\N
64	user64@example.com	Nämé 64
65	user65@example.com	Nämé 65
66	user66@example.com	Nämé 66
67	user67@example.com	Nämé 67
68	user68@example.com	Nämé 68
69	user69@example.com	Nämé 69
70	user70@example.com	\N
71	user71@example.com	Nämé 71
72	user72@example.com	Nämé 72
73	user73@example.com	Nämé 73
74	user74@example.com	Nämé 74
75	user75@example.com	Nämé 75
76	user76@example.com	Nämé 76
77	user77@example.com	\N
78	user78@example.com	Nämé 78
79	user79@example.com	Nämé 79
80	user80@example.com	Nämé 80
81	user81@example.com	Nämé 81
82	user82@example.com	Nämé 82
83	user83@example.com	Nämé 83
84	user84@example.com	\N
85	user85@example.com	Nämé 85
86	user86@example.com	Nämé 86
87	user87@example.com	Nämé 87
88	user88@example.com	Nämé 88
89	user89@example.com	Nämé 89
90	user90@example.com	Nämé 90
91	user91@example.com	\N
92	user92@example.com	Nämé 92
93	user93@example.com	Nämé 93
94	user94@example.com	Nämé 94
95	user95@example.com	Nämé 95
96	user96@example.com	Nämé 96
97	user97@example.com	Nämé 97
98	user98@example.com	\N
99	user99@example.com	Nämé 99
100	user100@example.com	Nämé 100
\.


--
-- Name: users_id_seq; Type: SEQUENCE SET; Schema: public; Owner: postgres
--

SELECT pg_catalog.setval('public.users_id_seq', 1, false);


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

\unrestrict ipO7S64yCWQzuSdpO0pYgg1NBXL3TxWVkK98JVOID2QMS6RAP5g3vNBS78DsP0H

\unrestrict k

--
-- PostgreSQL database cluster dump complete
--

