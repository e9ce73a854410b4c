// Command kube is every part of a one-node Kubernetes cluster in one program,
// compiled from the upstream modules: kube etcd, kube kube-apiserver, and so on.
// It exists so that a machine that has Go, and no ready-made cluster, can still
// run the tools against a real one.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/coredns/coredns/core/dnsserver"
	"github.com/coredns/coredns/coremain"
	_ "github.com/coredns/coredns/plugin/bind"
	_ "github.com/coredns/coredns/plugin/cache"
	_ "github.com/coredns/coredns/plugin/errors"
	_ "github.com/coredns/coredns/plugin/kubernetes"
	etcd "go.etcd.io/etcd/server/v3/etcdmain"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/cli"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllermanager "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	proxy "k8s.io/kubernetes/cmd/kube-proxy/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
	kubelet "k8s.io/kubernetes/cmd/kubelet/app"

	"chaos.test/cluster/metrics"
	"chaos.test/cluster/netpol"
)

const usage = `usage: kube etcd|kube-apiserver|kube-controller-manager|kube-scheduler|kubelet|kube-proxy|coredns [flag…]
       kube metrics-server|netpol KUBECONFIG`

func main() {
	if len(os.Args) < 2 {
		fail(2, usage)
	}
	os.Args = os.Args[1:] // each component parses its own flags
	switch os.Args[0] {
	case "etcd":
		etcd.Main(os.Args)
	case "kube-apiserver":
		os.Exit(cli.Run(apiserver.NewAPIServerCommand()))
	case "kube-controller-manager":
		os.Exit(cli.Run(controllermanager.NewControllerManagerCommand()))
	case "kube-scheduler":
		os.Exit(cli.Run(scheduler.NewSchedulerCommand()))
	case "kubelet":
		os.Exit(cli.Run(kubelet.NewKubeletCommand(context.Background())))
	case "kube-proxy":
		os.Exit(cli.Run(proxy.NewProxyCommand()))
	case "coredns":
		// Only the plugins imported above are compiled in; this is the order they run in.
		dnsserver.Directives = []string{"bind", "errors", "cache", "kubernetes"}
		coremain.Run()
	case "metrics-server":
		run(metrics.Run)
	case "netpol":
		run(netpol.Run)
	default:
		fail(2, usage)
	}
}

// run is for the components whose one argument is a kubeconfig.
func run(component func(context.Context, string) error) {
	if len(os.Args) != 2 {
		fail(2, usage)
	}
	if err := component(genericapiserver.SetupSignalContext(), os.Args[1]); err != nil {
		fail(1, os.Args[0]+": "+err.Error())
	}
}

func fail(status int, message string) {
	fmt.Fprintln(os.Stderr, message)
	os.Exit(status)
}
