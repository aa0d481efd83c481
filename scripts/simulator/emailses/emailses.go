// Package emailses stands in for Amazon SES (API v2) and the part of Amazon SNS that it needs, on one machine and in tests:
// the calls that the Contact Center makes, with their signatures, rules, error types and notifications. It shares no code
// with the adapter that it is there to test.
//
// From AWS's documentation: paths, bodies and error types; Signature Version 4, which is checked whole; the sandbox, where
// recipients have to be verified identities as well; the addresses success@, bounce@, complaint@, suppressionlist@ and
// ooto@simulator.amazonses.com; the events of a configuration set and of a received letter; SNS's envelope, its signatures
// of version 1 and 2, the confirmation of a subscription, and three repeats 20 s apart.
//
// Assumed:
//   - The texts of the errors that are not documented, and which of two faults is named first.
//   - A confirmation comes a quarter of a second after Subscribe was answered, and an event some milliseconds after a letter.
//   - A callback that is answered with 4xx is repeated as one with 5xx is; SNS gives up at once.
//   - Without a configuration set nothing is published: the identity has no default one.
//   - A bounce of suppressionlist@ has the subtype Suppressed.
//   - The form of a Message-ID that SES makes.
//
// Departs from AWS: http URLs on the loopback interface are called, one certificate signs for every region, and letters go
// nowhere.
//
// Under /_sim/ it is steered and asked what it saw; see package stage, type own and inbound.go. GET _sim/subscriptions lists
// the endpoints of the topics.
package emailses

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"log/slog"
	"net/http"
	"net/mail"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"

	"contactcenter/scripts/simulator/stage"
)

// What the simulator takes by itself, for whoever makes a channel by hand.
const (
	DefaultRegion           = "us-east-1"
	DefaultAccessKeyID      = "AKIALOCALSES00000001"
	DefaultSecretAccessKey  = "local-ses-secret-access-key"
	DefaultFrom             = "shop@example.com"
	DefaultConfigurationSet = "contact-center"
	DefaultTopic            = "arn:aws:sns:us-east-1:000000000000:contact-center"
)

// Options set the simulator up. The zero value is usable: every field has a default.
type Options struct {
	// AccessKeyID and SecretAccessKey sign; "": the defaults above. Region: those of the credentials; "": DefaultRegion.
	AccessKeyID, SecretAccessKey, Region string
	// Identities are the verified addresses and domains; nil: example.com.
	Identities []string
	// Topics that exist; nil: DefaultTopic, and nine more whose names end in -1 to -9. Mail for the identities is published to
	// the first, unless the steering says otherwise.
	Topics []string
	// ConfigurationSets are the topics that they publish to ("": to none); nil: one for each topic, of its name.
	ConfigurationSets map[string]string
	// Templates are the names of variables that each needs; nil: order_shipped with name and number.
	Templates map[string][]string
	// Denied lists the actions that the key may not use, for example "sns:Subscribe".
	Denied []string
	// ConfirmAfter passes between Subscribe and its confirmation; 0: a quarter of a second.
	ConfirmAfter time.Duration
	// The rest is as package stage has it.
	RetrySchedule []time.Duration
	HTTP          *http.Client
	Clock         func() time.Time
	Logger        *slog.Logger
}

// Simulator is SES and SNS of one account. It is safe for concurrent use; Close ends its callbacks.
type Simulator struct {
	o      Options
	stage  *stage.Stage
	signer *v4.Signer
	keys   func() keyPair

	ctx  context.Context //nolint:containedctx // the life of what goes on after a call was answered
	end  context.CancelFunc
	work sync.WaitGroup

	mu            sync.Mutex
	subscriptions []*subscription
	sent          map[string]string // SES's id, by the message_id tag
	letters       map[string][]byte // the raw letters taken, by SES's id
}

// own are the fields of the behaviour beside those of package stage.
type own struct {
	// Sandbox: recipients have to be verified identities too, or addresses of the mailbox simulator.
	Sandbox bool `json:"sandbox"`
	// OpenTracking: letters are opened, and that is reported.
	OpenTracking bool `json:"open_tracking"`
	// SignatureVersion of the topic: "1" or "2".
	SignatureVersion string `json:"signature_version"`
	// Bounce is the type and subtype of a bounce, for example "Transient/MailboxFull".
	Bounce string `json:"bounce"`
}

func ownOf(b stage.Behaviour) own { return *b.Own.(*own) }

// New starts a simulator.
func New(o Options) *Simulator {
	if o.AccessKeyID == "" {
		o.AccessKeyID, o.SecretAccessKey = DefaultAccessKeyID, DefaultSecretAccessKey
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	if o.Identities == nil {
		o.Identities = []string{"example.com"}
	}
	if o.Topics == nil {
		o.Topics = []string{DefaultTopic}
		for i := range 9 {
			o.Topics = append(o.Topics, DefaultTopic+"-"+strconv.Itoa(i+1))
		}
	}
	if o.ConfigurationSets == nil {
		o.ConfigurationSets = map[string]string{}
		for _, topic := range o.Topics {
			o.ConfigurationSets[topic[strings.LastIndexByte(topic, ':')+1:]] = topic
		}
	}
	if o.Templates == nil {
		o.Templates = map[string][]string{"order_shipped": {"name", "number"}}
	}
	if o.ConfirmAfter == 0 {
		o.ConfirmAfter = 250 * time.Millisecond
	}
	if o.RetrySchedule == nil {
		o.RetrySchedule = []time.Duration{20 * time.Second, 20 * time.Second, 20 * time.Second}
	}
	if o.Clock == nil {
		o.Clock = time.Now
	}
	s := &Simulator{o: o, signer: v4.NewSigner(), sent: map[string]string{}, letters: map[string][]byte{}}
	s.keys = sync.OnceValue(func() keyPair { return newKeyPair(o.Clock()) })
	s.ctx, s.end = context.WithCancel(context.Background())
	s.stage = stage.New(stage.Options{
		Fail: fail, Known: s.verified, Forget: s.forget, Own: func() any { return &own{SignatureVersion: "1", Bounce: "Permanent/General"} },
		Delivered:     func(status int) bool { return status >= 200 && status < 300 },
		RetrySchedule: o.RetrySchedule, HTTP: o.HTTP, Clock: o.Clock, Logger: o.Logger,
	})
	s.routes()
	return s
}

// Settings are the environment of the functions that reach the simulator at a base URL.
func Settings(baseURL string) map[string]string {
	return map[string]string{"EMAIL_SES_BASE_URL": baseURL}
}

// Start makes a simulator with its defaults. The function that it gives ends it.
func Start(_ map[string]string, log *slog.Logger) (http.Handler, func()) {
	s := New(Options{Logger: log})
	return s, s.Close
}

// Close ends the callbacks, those under way too, and waits for them.
func (s *Simulator) Close() {
	s.end()
	s.work.Wait()
	s.stage.Close()
}

// Call is one call as GET _sim/calls shows it. RequestID is the message_id tag, To the first recipient.
type Call = stage.Call

// Calls returns what the API saw of a sender ("": of all), oldest first, and how many letters it took.
func (s *Simulator) Calls(from string) ([]Call, int) { return s.stage.Calls(from) }

// ServeHTTP serves both services and the steering under /_sim/.
func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.stage.ServeHTTP(w, r) }

// forget is what _sim/reset does: everything but subscriptions.
func (s *Simulator) forget() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent, s.letters = map[string]string{}, map[string][]byte{}
}

// verified says whether an address is an identity, by itself or by its domain.
func (s *Simulator) verified(address string) bool {
	_, domain, _ := strings.Cut(strings.ToLower(address), "@")
	return slices.Contains(s.o.Identities, strings.ToLower(address)) || slices.Contains(s.o.Identities, domain)
}

func (s *Simulator) routes() {
	api := func(pattern, action string, send bool, look, serve func(*call)) {
		service, _, _ := strings.Cut(action, ":")
		s.stage.Handle(pattern, stage.Route{
			Send:  send,
			Check: func(e *stage.Exchange) bool { return s.signed(&call{e}, service) && s.allowed(&call{e}, action) },
			Look:  func(e *stage.Exchange) { look(&call{e}) },
			Serve: func(e *stage.Exchange) { serve(&call{e}) },
		})
	}
	unseen := func(*call) {}
	api("POST /v2/email/outbound-emails", "ses:SendEmail", true, s.peek, s.send)
	api("GET /v2/email/account", "ses:GetAccount", false, unseen, s.account)
	api("GET /v2/email/identities/{identity}", "ses:GetEmailIdentity", false, unseen, s.identity)
	api("GET /v2/email/configuration-sets/{name}/event-destinations", "ses:GetConfigurationSetEventDestinations", false, unseen, s.destinations)
	api("GET /v2/email/templates", "ses:ListEmailTemplates", false, unseen, s.templates)
	api("POST /{$}", "sns:", false, unseen, s.serveSNS)
	s.stage.Handle("GET /{$}", stage.Route{Serve: func(e *stage.Exchange) { s.confirm(&call{e}) }})
	s.stage.Handle("GET "+certificatePath, stage.Route{Serve: func(e *stage.Exchange) { e.Bytes(http.StatusOK, "application/x-pem-file", s.keys().certificate) }})
	s.stage.Steer(http.MethodPost, "inbound", s.postInbound)
	s.stage.Steer(http.MethodGet, "subscriptions", s.getSubscriptions)
}

// call is one call while it is served.
type call struct{ *stage.Exchange }

// problem answers with an error of SES's form.
func (c *call) problem(status int, kind, message string) {
	c.JSON(status, map[string]string{"message": message})
	c.Header.Set("X-Amzn-Errortype", kind)
}

// fail is a failure that was steered.
func fail(e *stage.Exchange, status int) {
	kind := map[int]string{
		http.StatusForbidden: "UnrecognizedClientException", http.StatusTooManyRequests: "TooManyRequestsException", http.StatusBadRequest: "MessageRejected",
		http.StatusNotFound: "NotFoundException",
	}[status]
	if kind == "" {
		kind = "InternalServiceError"
	}
	(&call{e}).problem(status, kind, http.StatusText(status))
}

func (s *Simulator) allowed(c *call, action string) bool {
	if !slices.Contains(s.o.Denied, action) {
		return true
	}
	if strings.HasPrefix(action, "sns:") {
		c.snsProblem(http.StatusForbidden, "AuthorizationError", "User is not authorized to perform: "+action)
	} else {
		c.problem(http.StatusForbidden, "AccessDeniedException", "User is not authorized to perform `"+action+"'")
	}
	return false
}

func (s *Simulator) account(c *call) {
	sandbox := ownOf(s.stage.Behaviour("")).Sandbox
	c.JSON(http.StatusOK, map[string]any{
		"ProductionAccessEnabled": !sandbox, "SendingEnabled": true, "EnforcementStatus": "HEALTHY", "DedicatedIpAutoWarmupEnabled": false,
		"SendQuota": map[string]any{"Max24HourSend": 50000, "MaxSendRate": 14, "SentLast24Hours": 0},
	})
}

func (s *Simulator) identity(c *call) {
	name := c.Request.PathValue("identity")
	if !slices.Contains(s.o.Identities, strings.ToLower(name)) {
		c.problem(http.StatusNotFound, "NotFoundException", "Email identity "+name+" does not exist.")
		return
	}
	kind := "DOMAIN"
	if strings.Contains(name, "@") {
		kind = "EMAIL_ADDRESS"
	}
	c.JSON(http.StatusOK, map[string]any{"IdentityType": kind, "VerifiedForSendingStatus": true, "FeedbackForwardingStatus": true, "VerificationStatus": "SUCCESS"})
}

func (s *Simulator) destinations(c *call) {
	name := c.Request.PathValue("name")
	topic, found := s.o.ConfigurationSets[name]
	if !found {
		c.problem(http.StatusNotFound, "NotFoundException", "Configuration set <"+name+"> does not exist.")
		return
	}
	list := []any{}
	if topic != "" {
		list = append(list, map[string]any{
			"Name": "sns", "Enabled": true, "MatchingEventTypes": []string{"SEND", "DELIVERY", "BOUNCE", "COMPLAINT", "REJECT", "RENDERING_FAILURE", "OPEN"},
			"SnsDestination": map[string]string{"TopicArn": topic},
		})
	}
	c.JSON(http.StatusOK, map[string]any{"EventDestinations": list})
}

func (s *Simulator) templates(c *call) {
	list := []any{}
	for name := range s.o.Templates {
		list = append(list, map[string]any{"TemplateName": name, "CreatedTimestamp": 1.7e9})
	}
	c.JSON(http.StatusOK, map[string]any{"TemplatesMetadata": list})
}

// random is n random bytes in hex.
func random(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

func uuid() string {
	h := random(16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// bare is an address without its name.
func bare(s string) string {
	a, err := mail.ParseAddress(s)
	if err != nil {
		return ""
	}
	return a.Address
}

// keyPair is what SNS signs with.
type keyPair struct {
	key         *rsa.PrivateKey
	certificate []byte
}
