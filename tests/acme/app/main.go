// Command acme is an application that is built as others build theirs: a front end without a shell in
// its image, an API, a database that belongs to somebody else, and an operator of its own.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
)

// seed makes what the API reads; it may be made again and again.
const seed = `
CREATE TABLE IF NOT EXISTS items (id int PRIMARY KEY, name text NOT NULL);
INSERT INTO items SELECT n, 'item ' || n FROM generate_series(1, 100) AS n ON CONFLICT DO NOTHING;`

type item struct {
	ID   int    `json:"id"`
	Name string `json:"name"`
}

func main() {
	role := "web"
	if len(os.Args) > 1 {
		role = os.Args[1]
	}
	mux := http.NewServeMux()
	switch role {
	case "web":
		web(mux, os.Getenv("API_URL"))
	case "api":
		api(mux)
	case "operator":
		go operate()
		mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprintln(w, "ok")
		})
	default:
		log.Fatalf("acme: there is no role %q; there are web, api and operator", role)
	}
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "acme_up{role=%q} 1\n", role)
	})
	log.Fatal(http.ListenAndServe(":8080", mux))
}

// web passes questions on to the API.
func web(mux *http.ServeMux, url string) {
	client := http.Client{Timeout: 3 * time.Second}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, r *http.Request) {
		answer, err := client.Get(url + "/items")
		if err != nil {
			http.Error(w, "the API does not answer", http.StatusBadGateway)
			return
		}
		defer answer.Body.Close()
		w.Header().Set("Content-Type", answer.Header.Get("Content-Type"))
		w.WriteHeader(answer.StatusCode)
		_, _ = io.Copy(w, answer.Body)
	})
}

// api reads the database that the PG… variables name.
func api(mux *http.ServeMux) {
	pool, err := pgxpool.New(context.Background(), "")
	if err != nil {
		log.Fatal(err)
	}
	for {
		if _, err = pool.Exec(context.Background(), seed); err == nil {
			break
		}
		log.Print("waiting for the database: ", err)
		time.Sleep(time.Second)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		ask, cancel := context.WithTimeout(r.Context(), 2*time.Second)
		defer cancel()
		if err := pool.Ping(ask); err != nil {
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /items", func(w http.ResponseWriter, r *http.Request) {
		items, err := read(r.Context(), pool)
		if err != nil {
			if r.Context().Err() == nil {
				log.Print("ERROR ", err)
			}
			http.Error(w, "the database does not answer", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(items)
	})
}

func read(ctx context.Context, pool *pgxpool.Pool) ([]item, error) {
	ask, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	rows, err := pool.Query(ask, "SELECT id, name FROM items ORDER BY id")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	items := []item{}
	for rows.Next() {
		var one item
		if err := rows.Scan(&one.ID, &one.Name); err != nil {
			return nil, err
		}
		items = append(items, one)
	}
	return items, rows.Err()
}
