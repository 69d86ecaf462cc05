package endpoint

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"github.com/tidegate/tidegate/shared/fault"
)

// service is the name that API Gateway's routes are signed for.
const service = "execute-api"

// Signer signs requests with Signature Version 4, as routes with AWS_IAM
// authorization ask for. It is safe for concurrent use.
type Signer struct {
	credentials aws.CredentialsProvider
	region      string
	now         func() time.Time
	v4          *v4.Signer
}

// NewSigner signs with the credentials of provider for region, the API's own.
func NewSigner(provider aws.CredentialsProvider, region string, now func() time.Time) *Signer {
	return &Signer{credentials: provider, region: region, now: now, v4: v4.NewSigner()}
}

// Sign sets the signature headers of req, whose whole body is body. Every header
// that req has by then is signed, so call it last. PermissionDenied: there are no
// credentials.
func (s *Signer) Sign(req *http.Request, body []byte) error {
	credentials, err := s.credentials.Retrieve(req.Context())
	if err != nil {
		return fault.Wrap(err, fault.PermissionDenied, "no AWS credentials to sign with; set AWS_PROFILE or AWS_ACCESS_KEY_ID, or log in")
	}
	sum := sha256.Sum256(body)
	if err := s.v4.SignHTTP(req.Context(), credentials, req, hex.EncodeToString(sum[:]), service, s.region, s.now()); err != nil {
		return fault.Wrap(err, fault.Internal, "the request cannot be signed")
	}
	return nil
}

// Bearer authorizes with a JSON Web Token, for stacks with JWT authorization.
func Bearer(token string) Authorizer {
	return func(req *http.Request, _ []byte) error {
		req.Header.Set("Authorization", "Bearer "+token)
		return nil
	}
}

// Open sends requests as they are, for stacks without authorization.
func Open(*http.Request, []byte) error { return nil }
