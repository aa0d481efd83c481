package emailses

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"contactcenter/scripts/simulator/stage"
)

// certificatePath is where the certificate is served.
const certificatePath = "/SimpleNotificationService-local.pem"

// subscription is an endpoint of a topic. base is where the one who subscribed it reaches the simulator.
type subscription struct {
	arn, topic, endpoint, token, base string
	confirmed                         bool
}

// snsProblem answers with an error of SNS's form.
func (c *call) snsProblem(status int, code, message string) {
	c.Bytes(status, "text/xml", []byte(`<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>`+code+
		`</Code><Message>`+message+`</Message></Error><RequestId>`+uuid()+`</RequestId></ErrorResponse>`))
}

// serveSNS serves the actions of SNS's API, which is of forms.
func (s *Simulator) serveSNS(c *call) {
	form, err := url.ParseQuery(string(c.Body))
	action := form.Get("Action")
	switch {
	case err != nil || action != "Subscribe" && action != "GetTopicAttributes":
		c.snsProblem(http.StatusBadRequest, "InvalidAction", "The action is not valid for this endpoint.")
	case !s.allowed(c, "sns:"+action):
	case !slices.Contains(s.o.Topics, form.Get("TopicArn")):
		c.snsProblem(http.StatusNotFound, "NotFound", "Topic does not exist")
	case action == "GetTopicAttributes":
		c.Bytes(http.StatusOK, "text/xml", fmt.Appendf(nil, `<GetTopicAttributesResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><GetTopicAttributesResult><Attributes>`+
			`<entry><key>TopicArn</key><value>%s</value></entry></Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>`, form.Get("TopicArn")))
	default:
		s.subscribe(c, form)
	}
}

// subscribe takes an endpoint, and asks it whether it wants to be one.
func (s *Simulator) subscribe(c *call, form url.Values) {
	topic, endpoint := form.Get("TopicArn"), form.Get("Endpoint")
	u, err := url.Parse(endpoint)
	switch {
	case err != nil || u.Host == "" || u.Scheme != form.Get("Protocol") || u.Scheme != "http" && u.Scheme != "https":
		c.snsProblem(http.StatusBadRequest, "InvalidParameter", "Invalid parameter: Endpoint must match the specified protocol")
		return
	}
	path, _, _ := strings.Cut(c.Request.RequestURI, "?")
	base := "http://" + c.Request.Host + strings.TrimSuffix(path, "/")
	s.mu.Lock()
	i := slices.IndexFunc(s.subscriptions, func(x *subscription) bool { return x.topic == topic && x.endpoint == endpoint })
	if i < 0 {
		s.subscriptions = append(s.subscriptions, &subscription{arn: topic + ":" + uuid(), topic: topic, endpoint: endpoint, token: random(64), base: base})
		i = len(s.subscriptions) - 1
	}
	sub := *s.subscriptions[i]
	s.mu.Unlock()
	arn := "pending confirmation"
	if sub.confirmed {
		arn = sub.arn
	} else {
		s.ask(sub)
	}
	c.Bytes(http.StatusOK, "text/xml", fmt.Appendf(nil, `<SubscribeResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><SubscribeResult><SubscriptionArn>%s</SubscriptionArn></SubscribeResult><ResponseMetadata><RequestId>%s</RequestId></ResponseMetadata></SubscribeResponse>`, arn, uuid()))
}

// ask sends a confirmation a moment later.
func (s *Simulator) ask(sub subscription) {
	s.work.Go(func() {
		t := time.NewTimer(s.o.ConfirmAfter)
		defer t.Stop()
		select {
		case <-t.C:
		case <-s.ctx.Done():
			return
		}
		message := "You have chosen to subscribe to the topic " + sub.topic + ".\nTo confirm the subscription, visit the SubscribeURL included in this message."
		s.stage.Deliver(s.ctx, "", s.envelope(sub, "SubscriptionConfirmation", uuid(), message, s.stage.Behaviour("")))
	})
}

// confirm is a visit of a SubscribeURL, which needs no signature.
func (s *Simulator) confirm(c *call) {
	q := c.Request.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sub := range s.subscriptions {
		if q.Get("Action") == "ConfirmSubscription" && sub.token == q.Get("Token") && sub.topic == q.Get("TopicArn") {
			sub.confirmed = true
			c.Bytes(http.StatusOK, "text/xml", fmt.Appendf(nil, `<ConfirmSubscriptionResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><ConfirmSubscriptionResult><SubscriptionArn>%s</SubscriptionArn></ConfirmSubscriptionResult></ConfirmSubscriptionResponse>`, sub.arn))
			return
		}
	}
	c.snsProblem(http.StatusBadRequest, "InvalidParameter", "Invalid token")
}

func (s *Simulator) getSubscriptions(w http.ResponseWriter, _ *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := []any{}
	for _, sub := range s.subscriptions {
		list = append(list, map[string]any{"topic_arn": sub.topic, "endpoint": sub.endpoint, "confirmed": sub.confirmed})
	}
	stage.Answer(w, http.StatusOK, map[string]any{"subscriptions": list})
}

// publish gives the calls by which a message reaches every endpoint of a topic.
func (s *Simulator) publish(topic, message string, b stage.Behaviour) []stage.Callback {
	s.mu.Lock()
	var to []subscription
	for _, sub := range s.subscriptions {
		if sub.topic == topic && sub.confirmed {
			to = append(to, *sub)
		}
	}
	s.mu.Unlock()
	id := uuid()
	var out []stage.Callback
	for _, sub := range to {
		out = append(out, s.envelope(sub, "Notification", id, message, b))
	}
	return out
}

// envelope is one call of an endpoint, signed.
func (s *Simulator) envelope(sub subscription, kind, id, message string, b stage.Behaviour) stage.Callback {
	version := ownOf(b).SignatureVersion
	at := s.stage.Now().UTC().Format("2006-01-02T15:04:05.000Z")
	body := map[string]any{
		"Type": kind, "MessageId": id, "TopicArn": sub.topic, "Message": message, "Timestamp": at, "SignatureVersion": version,
		"SigningCertURL": sub.base + certificatePath,
	}
	lines := []string{"Message", message, "MessageId", id}
	if kind == "Notification" {
		const subject = "Amazon SES Notification"
		lines = append(lines, "Subject", subject, "Timestamp", at)
		body["Subject"] = subject
		body["UnsubscribeURL"] = sub.base + "/?Action=Unsubscribe&SubscriptionArn=" + url.QueryEscape(sub.arn)
	} else {
		visit := sub.base + "/?Action=ConfirmSubscription&TopicArn=" + url.QueryEscape(sub.topic) + "&Token=" + sub.token
		lines = append(lines, "SubscribeURL", visit, "Timestamp", at, "Token", sub.token)
		body["SubscribeURL"], body["Token"] = visit, sub.token
	}
	body["Signature"] = s.signature(version, append(lines, "TopicArn", sub.topic, "Type", kind))
	header := http.Header{
		"Content-Type": {"text/plain; charset=UTF-8"}, "X-Amz-Sns-Message-Type": {kind}, "X-Amz-Sns-Message-Id": {id}, "X-Amz-Sns-Topic-Arn": {sub.topic},
		"User-Agent": {"Amazon Simple Notification Service Agent"},
	}
	if kind == "Notification" {
		header["X-Amz-Sns-Subscription-Arn"] = []string{sub.arn}
	}
	return stage.Callback{URL: sub.endpoint, Header: header, Body: stage.Marshal(body)}
}
