package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

// fleet is a custom resource that wants so many pods; as others do it, it has them through a ReplicaSet.
type fleet struct {
	Metadata struct {
		Name string `json:"name"`
		UID  string `json:"uid"`
	} `json:"metadata"`
	Spec struct {
		Size     int             `json:"size"`
		Template json.RawMessage `json:"template"`
	} `json:"spec"`
	Status fleetStatus `json:"status"`
}

type fleetStatus struct {
	Size     int    `json:"size"`
	Selector string `json:"selector"`
}

type replicaSet struct {
	Spec   struct{ Replicas int } `json:"spec"`
	Status struct{ Replicas int } `json:"status"`
}

// cluster is the API server, as pods reach it.
type cluster struct {
	client    http.Client
	namespace string
}

func inCluster() (*cluster, error) {
	ca, err := os.ReadFile(account + "ca.crt")
	if err != nil {
		return nil, err
	}
	namespace, err := os.ReadFile(account + "namespace")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	client := http.Client{Timeout: 5 * time.Second, Transport: transport}
	return &cluster{client, string(namespace)}, nil
}

// call sends body, if there is one, and reads the answer into answer; it gives the status.
func (c *cluster) call(method, path string, body, answer any) (int, error) {
	sent, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	url := fmt.Sprintf("https://%s:%s%s", os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"), path)
	request, err := http.NewRequest(method, url, bytes.NewReader(sent))
	if err != nil {
		return 0, err
	}
	token, err := os.ReadFile(account + "token")
	if err != nil {
		return 0, err
	}
	request.Header.Set("Authorization", "Bearer "+string(token))
	request.Header.Set("Content-Type", "application/json")
	if method == http.MethodPatch {
		request.Header.Set("Content-Type", "application/merge-patch+json")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	switch {
	case err != nil || response.StatusCode == http.StatusNotFound:
		return response.StatusCode, err
	case response.StatusCode >= 300:
		return response.StatusCode, fmt.Errorf("%s %s: %s", method, path, text)
	case answer == nil:
		return response.StatusCode, nil
	}
	return response.StatusCode, json.Unmarshal(text, answer)
}

// operate gives every fleet its pods, again and again.
func operate() {
	cluster, err := inCluster()
	if err != nil {
		log.Fatal(err)
	}
	for ; ; time.Sleep(300 * time.Millisecond) {
		var fleets struct{ Items []fleet }
		if _, err := cluster.call(http.MethodGet, cluster.fleets(""), nil, &fleets); err != nil {
			log.Print(err)
		}
		for _, one := range fleets.Items {
			if err := cluster.reconcile(one); err != nil {
				log.Print(err)
			}
		}
	}
}

func (c *cluster) fleets(name string) string {
	return "/apis/acme.example.com/v1/namespaces/" + c.namespace + "/fleets" + name
}

func (c *cluster) reconcile(one fleet) error {
	name := one.Metadata.Name
	sets := "/apis/apps/v1/namespaces/" + c.namespace + "/replicasets"
	set := sets + "/" + name + "-1"
	var now replicaSet
	status, err := c.call(http.MethodGet, set, nil, &now)
	if err != nil {
		return err
	}
	if status == http.StatusNotFound {
		_, err := c.call(http.MethodPost, sets, setOf(one), &now)
		return err
	}
	if now.Spec.Replicas != one.Spec.Size {
		size := map[string]any{"spec": map[string]any{"replicas": one.Spec.Size}}
		if _, err := c.call(http.MethodPatch, set, size, nil); err != nil {
			return err
		}
	}
	known := fleetStatus{now.Status.Replicas, "fleet=" + name}
	if known == one.Status {
		return nil
	}
	_, err = c.call(http.MethodPatch, c.fleets("/"+name+"/status"), map[string]any{"status": known}, nil)
	return err
}

// setOf makes the ReplicaSet of a fleet.
func setOf(one fleet) map[string]any {
	name := one.Metadata.Name
	labels := map[string]string{"fleet": name}
	owner := map[string]any{
		"apiVersion": "acme.example.com/v1", "kind": "Fleet", "name": name, "uid": one.Metadata.UID, "controller": true,
	}
	return map[string]any{
		"apiVersion": "apps/v1", "kind": "ReplicaSet",
		"metadata": map[string]any{"name": name + "-1", "labels": labels, "ownerReferences": []any{owner}},
		"spec": map[string]any{
			"replicas": one.Spec.Size,
			"selector": map[string]any{"matchLabels": labels},
			"template": map[string]any{"metadata": map[string]any{"labels": labels}, "spec": one.Spec.Template},
		},
	}
}
