// Package emailses sends letters by Amazon SES (API v2), with the customer's own AWS account, and reads what SES tells about
// them and what recipients write, both of which come by an Amazon SNS topic of that account. It knows SES's and SNS's
// paths, fields, error types and signatures, and nothing about accounts, usage or storage.
//
// Calls are signed by the AWS SDK's own signer and made by package httpclient: the SDK's clients would repeat them on their
// own, and can't tell whether a request that failed was ever written.
//
// SES knows no duplicates: a second Send of a message is a second letter.
package emailses

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/mail"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"contactcenter/shared/content"
	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// ID is the name of Amazon SES in the registry, in paths and in configuration.
const ID = "email_ses"

// Config is what a deployment may say about SES. Its zero value is usable.
type Config struct {
	// BaseURL stands in for https://email.{region}.amazonaws.com, for every region; "": that.
	BaseURL string
	// SNSBaseURL stands in for https://sns.{region}.amazonaws.com; "": BaseURL, and without one that.
	SNSBaseURL string
	// HTTP makes the calls; nil: httpclient.New().
	HTTP *http.Client
	// Timeout bounds each call; 0: httpclient.DefaultTimeout.
	Timeout time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

// ConfigFrom reads EMAIL_SES_BASE_URL and EMAIL_SES_SNS_BASE_URL, which are set only where a simulator stands in for AWS.
func ConfigFrom(getenv func(string) string) Config {
	return Config{BaseURL: getenv("EMAIL_SES_BASE_URL"), SNSBaseURL: getenv("EMAIL_SES_SNS_BASE_URL")}
}

// Adapter implements provider.Adapter, provider.Connector, provider.Subscriber, provider.Guide and
// provider.TemplateLister. It is safe for concurrent use.
type Adapter struct {
	ses, sns string
	http     *http.Client
	timeout  time.Duration
	now      func() time.Time

	mu           sync.Mutex
	certificates map[string]certificate
}

var (
	_ provider.Adapter        = (*Adapter)(nil)
	_ provider.Connector      = (*Adapter)(nil)
	_ provider.Subscriber     = (*Adapter)(nil)
	_ provider.Guide          = (*Adapter)(nil)
	_ provider.TemplateLister = (*Adapter)(nil)
)

// New makes an adapter. Make one per process: it holds connections and the certificates that SNS signs with.
func New(c Config) *Adapter {
	a := &Adapter{
		ses: strings.TrimRight(c.BaseURL, "/"), sns: strings.TrimRight(c.SNSBaseURL, "/"),
		http: c.HTTP, timeout: c.Timeout, now: c.Now, certificates: map[string]certificate{},
	}
	if a.sns == "" {
		a.sns = a.ses
	}
	if a.http == nil {
		a.http = httpclient.New()
	}
	if a.now == nil {
		a.now = time.Now
	}
	return a
}

// Capabilities says what SES carries. A text is a letter without a subject. SES states no bound in characters: a letter may
// have 40 MB. "read" is reported only where the customer has SES track openings, which changes letters: SES then adds a
// picture to their HTML.
//
// Statuses name our own id, which SES echoes from the message's tags. A recipient's answer names the letter by SES's id.
func Capabilities() provider.Capabilities {
	return provider.Capabilities{
		ChannelTypes: []string{"email"},
		AddressKind:  "email",
		Content: map[content.Type]provider.Limits{
			content.TypeText:     {},
			content.TypeEmail:    {},
			content.TypeTemplate: {NoLanguage: true},
		},
		ReplyTo:    true,
		Statuses:   []string{"sent", "delivered", "read", "failed"},
		OwnIDsOnly: true,
	}
}

// Capabilities is the function of that name.
func (*Adapter) Capabilities() provider.Capabilities { return Capabilities() }

// The credentials of a channel.
const (
	fieldRegion    = "region"
	fieldKeyID     = "access_key_id"
	fieldSecret    = "secret_access_key"
	fieldFrom      = "from_address"
	fieldConfigSet = "configuration_set"
	fieldTopic     = "topic_arn"
)

// account is what a channel's credentials say.
type account struct {
	region, keyID, secret string
	from                  mail.Address
	configurationSet      string
	topic                 string
}

// These keep a customer's words from becoming another host, another path or another header.
var (
	regionForm    = regexp.MustCompile(`^[a-z]{2}(-[a-z]{2,12}){1,3}-[0-9]{1,2}$`)
	configSetForm = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
	topicForm     = regexp.MustCompile(`^arn:aws[a-z-]{0,12}:sns:([a-z0-9-]+):[0-9]{12}:[A-Za-z0-9_-]{1,256}$`)
)

// maxFrom bounds the sender as a header, in bytes: a line of a letter has at most 998.
const maxFrom = 700

// accountOf reads a channel's credentials. Its error is of the kind Credentials, and says which of them to mend.
func accountOf(credentials map[string]string) (account, *provider.Error) {
	acc := account{
		region: credentials[fieldRegion], keyID: credentials[fieldKeyID], secret: credentials[fieldSecret],
		configurationSet: credentials[fieldConfigSet], topic: credentials[fieldTopic],
	}
	topic := topicForm.FindStringSubmatch(acc.topic)
	from, err := mail.ParseAddress(credentials[fieldFrom])
	switch {
	case !regionForm.MatchString(acc.region):
		return account{}, wrongCredentials("region must be an AWS region, for example eu-west-1")
	case acc.keyID == "" || acc.secret == "":
		return account{}, wrongCredentials("access_key_id and secret_access_key are needed")
	case err != nil || !ascii(from.Address) || len(from.String()) > maxFrom:
		return account{}, wrongCredentials(`from_address must be one e-mail address, alone or as "Name <address>"`)
	case acc.configurationSet != "" && !configSetForm.MatchString(acc.configurationSet):
		return account{}, wrongCredentials("configuration_set must be the name of a configuration set")
	case topic == nil:
		return account{}, wrongCredentials("topic_arn must be the ARN of an SNS topic, for example arn:aws:sns:eu-west-1:123456789012:contact-center")
	case topic[1] != acc.region:
		return account{}, wrongCredentials("topic_arn must be of a topic in the same region: SES publishes to no other")
	}
	acc.from = *from
	return acc, nil
}

func wrongCredentials(detail string) *provider.Error {
	return &provider.Error{Kind: provider.Credentials, Code: "credentials_invalid", Fault: provider.FaultCustomer, Detail: detail}
}

// sender is the sender as letters show it.
func (acc account) sender() string {
	if acc.from.Name == "" {
		return acc.from.Address
	}
	return acc.from.String()
}

// sesBase and snsBase are where a region's services are.
func (a *Adapter) sesBase(region string) string {
	if a.ses != "" {
		return a.ses
	}
	return "https://email." + region + ".amazonaws.com"
}

func (a *Adapter) snsBase(region string) string {
	if a.sns != "" {
		return a.sns
	}
	return "https://sns." + region + ".amazonaws.com"
}

// request is one call of the account's services.
type request struct {
	service, base, method, path string
	contentType                 string
	body                        []byte
}

// do signs and makes one call and returns the body of a success. Its errors are *provider.Error, sorted by what SES or SNS
// says.
func (a *Adapter) do(ctx context.Context, acc account, r request) ([]byte, httpclient.Answer, *provider.Error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.base+r.path, bytes.NewReader(r.body))
	if err != nil {
		return nil, httpclient.Answer{}, httpclient.NotMade("the provider's address in the configuration is not a URL")
	}
	req.Header.Set("Accept", "application/json")
	if r.contentType != "" {
		req.Header.Set("Content-Type", r.contentType)
	}
	hash := sha256.Sum256(r.body)
	key := aws.Credentials{AccessKeyID: acc.keyID, SecretAccessKey: acc.secret}
	// A signer keeps what it derived from a secret by the key's id alone, so one that is used again would go on signing with a
	// secret that was entered wrong, or was replaced.
	if err := v4.NewSigner().SignHTTP(ctx, key, req, hex.EncodeToString(hash[:]), r.service, acc.region, a.now()); err != nil {
		return nil, httpclient.Answer{}, httpclient.NotMade("the request could not be signed")
	}
	answer, err := a.caller(r.base).Do(ctx, req)
	if err != nil {
		return nil, answer, provider.Failure(err)
	}
	if answer.Status != http.StatusOK {
		return nil, answer, a.refusal(answer)
	}
	if answer.Oversized {
		return nil, answer, httpclient.Unreadable()
	}
	return answer.Body, answer, nil
}

// caller makes calls below base.
func (a *Adapter) caller(base string) httpclient.Caller {
	return httpclient.Caller{HTTP: a.http, Base: base, Timeout: a.timeout}
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return s != ""
}
