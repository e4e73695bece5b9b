// Command oidcproxy consists of the components of kube-oidc-proxy: kube-apiserver's OIDC
// authenticator, httputil.ReverseProxy and client-go's impersonating round tripper. Like
// kube-oidc-proxy, it verifies the token of every request; it has no rules, limits or audit log.
package main

import (
	"context"
	"flag"
	"log"
	"net/http"
	"net/http/httputil"
	"os"

	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/bearertoken"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	"k8s.io/client-go/transport"

	"gatehouse/bench/internal/endpoint"
)

type userKey struct{}

func main() {
	server, client := endpoint.ServerFlags(), endpoint.ClientFlags()
	issuer := flag.String("issuer", "", "issuer URL")
	issuerCA := flag.String("issuer-ca", "", "CA of the issuer's certificate, PEM")
	audience := flag.String("audience", "", "audience of the tokens")
	flag.Parse()

	authenticate := bearertoken.New(newAuthenticator(*issuer, *issuerCA, *audience))
	upstream := client.URL()
	proxy := &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(upstream) },
		Transport:     impersonating{client.Transport()},
		FlushInterval: -1,
	}
	server.Serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name := range r.Header {
			if len(name) > 11 && name[:12] == "Impersonate-" {
				http.Error(w, "impersonation is not supported", http.StatusForbidden)
				return
			}
		}
		// On success it removes the Authorization header.
		response, ok, err := authenticate.AuthenticateRequest(r)
		if err != nil || !ok {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, response.User)))
	}), nil)
}

func newAuthenticator(issuer, caFile, audience string) authenticator.Token {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		log.Fatal(err)
	}
	ca, err := dynamiccertificates.NewStaticCAContent("issuer", pem)
	if err != nil {
		log.Fatal(err)
	}
	prefix := "oidc:"
	auth, err := oidc.New(context.Background(), oidc.Options{
		JWTAuthenticator: apiserver.JWTAuthenticator{
			Issuer: apiserver.Issuer{
				URL:                  issuer,
				CertificateAuthority: string(pem),
				Audiences:            []string{audience},
			},
			ClaimMappings: apiserver.ClaimMappings{
				Username: apiserver.PrefixedClaimOrExpression{Claim: "sub", Prefix: &prefix},
				Groups:   apiserver.PrefixedClaimOrExpression{Claim: "groups", Prefix: &prefix},
			},
		},
		CAContentProvider: ca,
	})
	if err != nil {
		log.Fatal(err)
	}
	return auth
}

// impersonating wraps the transport for each request, as kube-oidc-proxy does.
type impersonating struct {
	delegate http.RoundTripper
}

func (rt impersonating) RoundTrip(r *http.Request) (*http.Response, error) {
	info := r.Context().Value(userKey{}).(user.Info)
	return transport.NewImpersonatingRoundTripper(transport.ImpersonationConfig{
		UserName: info.GetName(),
		UID:      info.GetUID(),
		Groups:   info.GetGroups(),
		Extra:    info.GetExtra(),
	}, rt.delegate).RoundTrip(r)
}
