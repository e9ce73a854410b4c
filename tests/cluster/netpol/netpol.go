// Package netpol enforces NetworkPolicy on the one node of the test cluster,
// where the bridge CNI plugin alone would ignore it.
//
// It covers what the API defines for pods of this node: podSelector,
// namespaceSelector, IPv4 ipBlock with except, numeric ports and endPort, both
// policy types. Named ports are not resolved. Every change renders one nftables
// table, which nft replaces in a single transaction. Egress also holds towards
// the node itself, where the cluster's DNS and API server listen; what the node
// opens towards its pods (probes, port-forward, the API server's proxy) passes.
package netpol

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	netv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	netlisters "k8s.io/client-go/listers/networking/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/clientcmd"
)

type enforcer struct {
	pods     corelisters.PodLister
	nss      corelisters.NamespaceLister
	policies netlisters.NetworkPolicyLister
}

// Run watches pods, namespaces and policies until ctx ends.
func Run(ctx context.Context, kubeconfig string) error {
	cfg, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(client, 0)
	dirty := make(chan struct{}, 1)
	mark := func() {
		select {
		case dirty <- struct{}{}:
		default:
		}
	}
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { mark() },
		UpdateFunc: func(_, _ any) { mark() },
		DeleteFunc: func(any) { mark() },
	}
	e := &enforcer{
		pods:     factory.Core().V1().Pods().Lister(),
		nss:      factory.Core().V1().Namespaces().Lister(),
		policies: factory.Networking().V1().NetworkPolicies().Lister(),
	}
	factory.Core().V1().Pods().Informer().AddEventHandler(handler)
	factory.Core().V1().Namespaces().Informer().AddEventHandler(handler)
	factory.Networking().V1().NetworkPolicies().Informer().AddEventHandler(handler)
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	last := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-dirty:
		}
		time.Sleep(20 * time.Millisecond) // let a burst of events settle
		table, err := e.render()
		if err != nil {
			return err
		}
		if table == last {
			continue
		}
		last = table
		cmd := exec.Command("nft", "-f", "-")
		cmd.Stdin = strings.NewReader(table)
		if out, err := cmd.CombinedOutput(); err != nil {
			// One policy that nft can't take must not end the cluster; the rules before it stay.
			fmt.Fprintf(os.Stderr, "nft refused the rules: %v: %s\n%s", err, out, table)
		}
	}
}

func podIP(p *corev1.Pod) string {
	if p.Spec.HostNetwork || p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed {
		return ""
	}
	return p.Status.PodIP
}

// tableFormat takes the pods' chains, then the jumps of the two base chains. Deleting
// the table, after making sure that there is one, empties it.
const tableFormat = `table inet netpol
delete table inet netpol
table inet netpol {
%s  chain forward {
    type filter hook forward priority -5; policy accept;
    ct state established,related ct direction reply return
%s%s  }
  chain input {
    type filter hook input priority -5; policy accept;
    ct state established,related ct direction reply return
%s  }
}
`

// render gives the whole table. A pod that a policy selects jumps to a chain of
// its own for that direction, whose end drops.
func (e *enforcer) render() (string, error) {
	policies, err := e.policies.List(labels.Everything())
	if err != nil {
		return "", err
	}
	pods, err := e.pods.List(labels.Everything())
	if err != nil {
		return "", err
	}
	sort.Slice(pods, func(i, j int) bool { return pods[i].UID < pods[j].UID })
	sort.Slice(policies, func(i, j int) bool { return policies[i].UID < policies[j].UID })
	var chains, ingress, egress bytes.Buffer
	for _, pod := range pods {
		ip := podIP(pod)
		if ip == "" || strings.Contains(ip, ":") {
			continue
		}
		var in, out []string
		selectedIn, selectedOut := false, false
		for _, policy := range policies {
			if policy.Namespace != pod.Namespace || !matches(&policy.Spec.PodSelector, pod.Labels) {
				continue
			}
			for _, kind := range policy.Spec.PolicyTypes {
				switch kind {
				case netv1.PolicyTypeIngress:
					selectedIn = true
					for _, rule := range policy.Spec.Ingress {
						in = append(in, e.allow("saddr", policy.Namespace, rule.From, rule.Ports)...)
					}
				case netv1.PolicyTypeEgress:
					selectedOut = true
					for _, rule := range policy.Spec.Egress {
						out = append(out, e.allow("daddr", policy.Namespace, rule.To, rule.Ports)...)
					}
				}
			}
		}
		id := strings.ReplaceAll(string(pod.UID), "-", "")
		if selectedIn {
			fmt.Fprintf(&chains, "  chain in_%s {\n    %s\n    drop\n  }\n", id, strings.Join(in, "\n    "))
			fmt.Fprintf(&ingress, "    ip daddr %s jump in_%s\n", ip, id)
		}
		if selectedOut {
			fmt.Fprintf(&chains, "  chain out_%s {\n    %s\n    drop\n  }\n", id, strings.Join(out, "\n    "))
			fmt.Fprintf(&egress, "    ip saddr %s jump out_%s\n", ip, id)
		}
	}
	return fmt.Sprintf(tableFormat, &chains, &egress, &ingress, &egress), nil
}

func matches(selector *metav1.LabelSelector, set map[string]string) bool {
	s, err := metav1.LabelSelectorAsSelector(selector)
	return err == nil && s.Matches(labels.Set(set))
}

// allow renders one rule of a policy as "return" rules (allowed by this direction).
func (e *enforcer) allow(side, namespace string, peers []netv1.NetworkPolicyPeer, ports []netv1.NetworkPolicyPort) []string {
	sources := []string{}
	if len(peers) == 0 {
		sources = append(sources, "")
	}
	for _, peer := range peers {
		if peer.IPBlock != nil {
			if strings.Contains(peer.IPBlock.CIDR, ":") {
				continue
			}
			match := "ip " + side + " " + peer.IPBlock.CIDR
			if len(peer.IPBlock.Except) > 0 {
				match += " ip " + side + " != { " + strings.Join(peer.IPBlock.Except, ", ") + " }"
			}
			sources = append(sources, match)
			continue
		}
		var ips []string
		pods, _ := e.pods.List(labels.Everything())
		for _, pod := range pods {
			ip := podIP(pod)
			if ip == "" || strings.Contains(ip, ":") {
				continue
			}
			if peer.NamespaceSelector == nil {
				if pod.Namespace != namespace {
					continue
				}
			} else {
				ns, err := e.nss.Get(pod.Namespace)
				if err != nil || !matches(peer.NamespaceSelector, ns.Labels) {
					continue
				}
			}
			if peer.PodSelector != nil && !matches(peer.PodSelector, pod.Labels) {
				continue
			}
			ips = append(ips, ip)
		}
		sort.Strings(ips)
		if len(ips) > 0 {
			sources = append(sources, "ip "+side+" { "+strings.Join(ips, ", ")+" }")
		}
	}
	var services []string
	if len(ports) == 0 {
		services = append(services, "")
	}
	for _, port := range ports {
		proto := "tcp"
		if port.Protocol != nil {
			proto = strings.ToLower(string(*port.Protocol))
		}
		switch {
		case port.Port == nil:
			services = append(services, "meta l4proto "+proto)
		case port.EndPort != nil:
			services = append(services, fmt.Sprintf("%s dport %d-%d", proto, port.Port.IntValue(), *port.EndPort))
		default:
			services = append(services, fmt.Sprintf("%s dport %d", proto, port.Port.IntValue()))
		}
	}
	var rules []string
	for _, source := range sources {
		for _, service := range services {
			rules = append(rules, strings.TrimSpace(strings.Join([]string{source, service, "return"}, " ")))
		}
	}
	return rules
}
