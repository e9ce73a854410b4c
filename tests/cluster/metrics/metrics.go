// Package metrics runs the upstream metrics-server for the one node.
//
// It builds the server's configuration itself for two reasons. The upstream
// command refuses a resolution below ten seconds, but here a scrape is cheap and
// a test that watches a fault wants to see it soon. And the upstream command's
// OpenAPI tables fit only a newer Kubernetes than this cluster's, whose own are used.
package metrics

import (
	"context"
	"net"
	"time"

	corev1 "k8s.io/api/core/v1"
	endpointsopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/options"
	utilcompatibility "k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/kubernetes/pkg/generated/openapi"
	"sigs.k8s.io/metrics-server/pkg/api"
	"sigs.k8s.io/metrics-server/pkg/scraper/client"
	"sigs.k8s.io/metrics-server/pkg/server"
)

// Port is where the metrics API is served.
const Port = 4443

// resolution is the time between two scrapes; a container's CPU use is known after two.
const resolution = 2 * time.Second

// Run serves the metrics API until ctx ends.
func Run(ctx context.Context, kubeconfig string) error {
	rest, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return err
	}
	config := genericapiserver.NewConfig(api.Codecs)
	config.EffectiveVersion = utilcompatibility.DefaultBuildEffectiveVersion()
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, endpointsopenapi.NewDefinitionNamer(api.Scheme))

	serving := options.NewSecureServingOptions()
	serving.BindPort = Port
	serving.ServerCert.CertDirectory = "" // a certificate of its own, in memory
	if err := serving.MaybeDefaultWithSelfSignedCerts("localhost", nil, []net.IP{net.IPv4(127, 0, 0, 1)}); err != nil {
		return err
	}
	if err := serving.WithLoopback().ApplyTo(&config.SecureServing, &config.LoopbackClientConfig); err != nil {
		return err
	}
	authentication := options.NewDelegatingAuthenticationOptions()
	authentication.RemoteKubeConfigFile = kubeconfig
	if err := authentication.ApplyTo(&config.Authentication, config.SecureServing, nil); err != nil {
		return err
	}
	authorization := options.NewDelegatingAuthorizationOptions()
	authorization.RemoteKubeConfigFile = kubeconfig
	if err := authorization.ApplyTo(&config.Authorization); err != nil {
		return err
	}

	metricsServer, err := server.Config{
		Apiserver: config,
		Rest:      rest,
		Kubelet: &client.KubeletClientConfig{
			Client:              *rest,
			AddressTypePriority: []corev1.NodeAddressType{corev1.NodeInternalIP},
			Scheme:              "https",
			DefaultPort:         10250,
		},
		MetricResolution: resolution,
		// A scrape that is given up takes all figures away until the next one.
		ScrapeTimeout: 10 * resolution,
	}.Complete()
	if err != nil {
		return err
	}
	return metricsServer.RunUntil(ctx.Done())
}
