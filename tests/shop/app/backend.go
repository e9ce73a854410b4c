package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	defaultLimit = 50
	maxLimit     = 500
	queryTimeout = 2 * time.Second
)

type customer struct {
	ID    int64  `json:"id"`
	Name  string `json:"name"`
	Email string `json:"email"`
}

type product struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	PriceCents int64  `json:"priceCents"`
	Stock      int64  `json:"stock"`
}

type order struct {
	ID         int64     `json:"id"`
	UserID     int64     `json:"userId"`
	ProductID  int64     `json:"productId"`
	Quantity   int64     `json:"quantity"`
	TotalCents int64     `json:"totalCents"`
	CreatedAt  time.Time `json:"createdAt"`
}

// backend serves the shop's data. Its health is the database's: it asks it each time.
func backend(ctx context.Context) error {
	config, err := pgxpool.ParseConfig("sslmode=disable connect_timeout=2") // the rest is in PGHOST, PGUSER, …
	if err != nil {
		return err
	}
	config.MaxConns = 10
	config.MaxConnIdleTime = 30 * time.Second
	// Never closed: that would wait for a database which, in an experiment, may not answer; the process's end does it.
	pool, err := pgxpool.NewWithConfig(context.Background(), config)
	if err != nil {
		return err
	}

	m := newMetrics()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", m.measure("/health", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		if _, err := pool.Exec(ctx, "SELECT 1"); err != nil {
			requestFailed(r, "the database does not answer: %v", err)
			writeJSON(w, http.StatusServiceUnavailable, map[string]string{"status": "unavailable", "database": "unreachable"})
			return
		}
		writeJSON(w, http.StatusOK, map[string]string{"status": "ok", "database": "ok"})
	}))
	// Alive is less than healthy: a backend that lost its database must not be restarted for it.
	mux.HandleFunc("GET /live", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, map[string]string{"status": "alive"})
	})
	mux.HandleFunc("GET /api/users", m.measure("/api/users", list[customer](pool, "SELECT id, name, email FROM users ORDER BY id LIMIT $1")))
	mux.HandleFunc("GET /api/products", m.measure("/api/products", list[product](pool, "SELECT id, name, price_cents, stock FROM products ORDER BY id LIMIT $1")))
	mux.HandleFunc("GET /api/orders", m.measure("/api/orders", list[order](pool, "SELECT id, user_id, product_id, quantity, total_cents, created_at FROM orders ORDER BY id DESC LIMIT $1")))
	mux.HandleFunc("POST /api/orders", m.measure("/api/orders", placeOrder(pool)))
	mux.Handle("GET /metrics", until(ctx, m))
	return serve(ctx, ":8000", mux)
}

// list answers with the rows of one query, which takes the limit and selects a T's fields in order.
func list[T any](pool *pgxpool.Pool, query string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		limit := defaultLimit
		if asked := r.URL.Query().Get("limit"); asked != "" {
			n, err := strconv.Atoi(asked)
			if err != nil || n < 1 || n > maxLimit {
				writeJSON(w, http.StatusBadRequest, map[string]string{"error": fmt.Sprintf("limit must be 1 to %d", maxLimit)})
				return
			}
			limit = n
		}
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		rows, err := pool.Query(ctx, query, limit)
		if err == nil {
			var found []T
			if found, err = pgx.CollectRows(rows, pgx.RowToStructByPos[T]); err == nil {
				writeJSON(w, http.StatusOK, found)
				return
			}
		}
		refuse(w, r, err)
	}
}

// placeOrder writes an order and answers its id once it is committed.
func placeOrder(pool *pgxpool.Pool) http.HandlerFunc {
	const insert = `INSERT INTO orders (user_id, product_id, quantity, total_cents)
		SELECT $1, id, $3::int, price_cents * $3::int FROM products WHERE id = $2
		RETURNING id, user_id, product_id, quantity, total_cents, created_at`
	return func(w http.ResponseWriter, r *http.Request) {
		wanted := order{Quantity: 1}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16)).Decode(&wanted); err != nil || wanted.Quantity < 1 {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": `an order is {"userId":1,"productId":1,"quantity":1}`})
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), queryTimeout)
		defer cancel()
		rows, err := pool.Query(ctx, insert, wanted.UserID, wanted.ProductID, wanted.Quantity)
		var placed order
		if err == nil {
			placed, err = pgx.CollectExactlyOneRow(rows, pgx.RowToStructByPos[order])
		}
		var violation *pgconn.PgError
		switch {
		case err == nil:
			writeJSON(w, http.StatusCreated, placed)
		case errors.Is(err, pgx.ErrNoRows), errors.As(err, &violation) && violation.Code == "23503":
			writeJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": "no such user or product"})
		default:
			refuse(w, r, err)
		}
	}
}

func refuse(w http.ResponseWriter, r *http.Request, err error) {
	requestFailed(r, "%s %s: %v", r.Method, r.URL.Path, err)
	writeJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "the database does not answer"})
}
