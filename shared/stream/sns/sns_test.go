package sns

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"github.com/tidegate/tidegate/shared/fault"
)

func topic(t *testing.T, answer http.HandlerFunc) *Topic {
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	return New(sns.New(sns.Options{Region: "eu-west-1", BaseEndpoint: &server.URL, Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider("key", "secret", "")}), "arn:aws:sns:eu-west-1:111122223333:drift")
}

func TestPublish(t *testing.T) {
	var form url.Values
	topic := topic(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ = url.ParseQuery(string(body))
		_, _ = io.WriteString(w, `<PublishResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><PublishResult><MessageId>1</MessageId></PublishResult></PublishResponse>`)
	})
	if err := topic.Publish(t.Context(), "Drift of flüge:\n"+strings.Repeat("x", 200), "a text\nof lines"); err != nil {
		t.Fatal(err)
	}
	if form.Get("TopicArn") != "arn:aws:sns:eu-west-1:111122223333:drift" || form.Get("Message") != "a text\nof lines" {
		t.Errorf("%v", form)
	}
	if s := form.Get("Subject"); len(s) != maxSubject || !strings.HasPrefix(s, "Drift of flge: xxx") {
		t.Errorf("subject %q", s)
	}
}

func TestPublishFails(t *testing.T) {
	topic := topic(t, func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	if err := topic.Publish(t.Context(), "s", "t"); !fault.Is(err, fault.Unavailable) {
		t.Errorf("%v", err)
	}
	if err := topic.Publish(t.Context(), "s", strings.Repeat("x", maxText+1)); !fault.Is(err, fault.Internal) {
		t.Errorf("%v", err)
	}
}
