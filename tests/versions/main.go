// Command control is the part of a Kubernetes control plane that judges and keeps what the tools write: the API server
// and the controllers, of one version.
package main

import (
	"fmt"
	"os"

	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
)

func main() {
	if len(os.Args) > 1 {
		os.Args = os.Args[1:] // each component parses its own flags
		switch os.Args[0] {
		case "kube-apiserver":
			os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
		case "kube-controller-manager":
			os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
		}
	}
	fmt.Fprintln(os.Stderr, "usage: control kube-apiserver|kube-controller-manager [flag…]")
	os.Exit(2)
}
