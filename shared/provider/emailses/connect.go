package emailses

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// The settings that Connect and Subscribe return, for Setup: it has no credentials.
const (
	settingFrom      = "from"
	settingRegion    = "region"
	settingTopic     = "topic_arn"
	settingConfigSet = "configuration_set"
	// settingSubscription is "asked" when SNS was asked to call the channel, and settingEvents "published" when the
	// configuration set was seen to publish to the topic.
	settingSubscription = "subscription"
	settingEvents       = "events"

	asked     = "asked"
	published = "published"
)

// Connect tries the credentials: it asks SES about the account, about the sender and, if there is one, the configuration
// set, and SNS about the topic. An account in SES's sandbox is as good as any other.
func (a *Adapter) Connect(ctx context.Context, ch provider.Channel, _ string) (provider.Connection, error) {
	c, err := a.connect(ctx, ch)
	if err != nil {
		return provider.Connection{}, httpclient.AsRead(err)
	}
	return c, nil
}

func (a *Adapter) connect(ctx context.Context, ch provider.Channel) (provider.Connection, *provider.Error) {
	acc, fail := accountOf(ch.Credentials)
	if fail != nil {
		return provider.Connection{}, fail
	}
	if _, fail := a.look(ctx, acc, "/v2/email/account"); fail != nil {
		return provider.Connection{}, permitted(fail, "ses:GetAccount")
	}
	if fail := a.verifiedSender(ctx, acc); fail != nil {
		return provider.Connection{}, fail
	}
	settings := map[string]string{
		settingFrom: acc.from.Address, settingRegion: acc.region, settingTopic: acc.topic, settingConfigSet: acc.configurationSet,
	}
	publishes, fail := a.publishes(ctx, acc)
	if fail != nil {
		return provider.Connection{}, fail
	}
	if publishes {
		settings[settingEvents] = published
	}
	if fail := a.topicIsThere(ctx, acc); fail != nil {
		return provider.Connection{}, fail
	}
	return provider.Connection{Settings: settings, Address: acc.from.Address}, nil
}

// look asks SES about something.
func (a *Adapter) look(ctx context.Context, acc account, path string) ([]byte, *provider.Error) {
	body, _, fail := a.do(ctx, acc, request{service: "ses", base: a.sesBase(acc.region), method: http.MethodGet, path: path})
	return body, httpclient.AsRead(fail)
}

// permitted names the permission that a key lacks.
func permitted(fail *provider.Error, action string) *provider.Error {
	switch {
	case denied(fail):
		fail.Detail = "the access key is known, but its policy has to allow " + action
	case fail.Kind == provider.Credentials:
		fail.Detail = "AWS does not take access_key_id and secret_access_key: create an access key for an IAM user that may use SES, and enter both parts of it"
	}
	return fail
}

func denied(fail *provider.Error) bool {
	switch fail.ProviderCode {
	case "AccessDeniedException", "AccessDenied", "AuthorizationError":
		return true
	}
	return false
}

// verifiedSender finds the sender's identity: the address itself, or its domain.
func (a *Adapter) verifiedSender(ctx context.Context, acc account) *provider.Error {
	_, domain, _ := strings.Cut(acc.from.Address, "@")
	for _, identity := range []string{acc.from.Address, domain} {
		body, fail := a.look(ctx, acc, "/v2/email/identities/"+segment(identity))
		if fail != nil && fail.ProviderCode == "NotFoundException" {
			continue
		}
		if fail != nil {
			return permitted(fail, "ses:GetEmailIdentity")
		}
		var found struct{ VerifiedForSendingStatus bool }
		if json.Unmarshal(body, &found) == nil && found.VerifiedForSendingStatus {
			return nil
		}
	}
	return wrongCredentials("from_address is no verified identity of the account in this region: verify it or its domain in Amazon SES, under Identities")
}

// publishes says whether the configuration set publishes to the topic. What a key may not look at isn't known.
func (a *Adapter) publishes(ctx context.Context, acc account) (bool, *provider.Error) {
	if acc.configurationSet == "" {
		return false, nil
	}
	body, fail := a.look(ctx, acc, "/v2/email/configuration-sets/"+acc.configurationSet+"/event-destinations")
	switch {
	case fail != nil && denied(fail):
		return false, nil
	case fail != nil && fail.ProviderCode == "NotFoundException":
		return false, wrongCredentials("the account has no configuration_set of this name in this region")
	case fail != nil:
		return false, fail
	}
	var list struct {
		EventDestinations []struct {
			Enabled        bool
			SnsDestination *struct{ TopicArn string }
		}
	}
	if json.Unmarshal(body, &list) != nil {
		return false, nil
	}
	for _, d := range list.EventDestinations {
		if d.Enabled && d.SnsDestination != nil && d.SnsDestination.TopicArn == acc.topic {
			return true, nil
		}
	}
	return false, nil
}

// topicIsThere asks SNS for the topic. A key that may not ask is believed.
func (a *Adapter) topicIsThere(ctx context.Context, acc account) *provider.Error {
	fail := a.notify(ctx, acc, url.Values{"Action": {"GetTopicAttributes"}, "TopicArn": {acc.topic}})
	switch {
	case fail == nil || denied(fail):
		return nil
	case fail.ProviderCode == "NotFound":
		return wrongCredentials("the account has no topic of this topic_arn: create it in Amazon SNS, as a standard topic")
	}
	return httpclient.AsRead(fail)
}

// notify makes one call of SNS, whose API is of forms.
func (a *Adapter) notify(ctx context.Context, acc account, form url.Values) *provider.Error {
	form.Set("Version", "2010-03-31")
	_, _, fail := a.do(ctx, acc, request{
		service: "sns", base: a.snsBase(acc.region), method: http.MethodPost, path: "/",
		contentType: "application/x-www-form-urlencoded; charset=utf-8", body: []byte(form.Encode()),
	})
	return fail
}

// Subscribe has SNS call the URL with what the topic is told. SNS asks the URL first whether it wants that, so the channel
// has to be there. Asking again changes nothing. A key that may not ask leaves it to be done by hand.
func (a *Adapter) Subscribe(ctx context.Context, ch provider.Channel, callbackURL string) (map[string]string, error) {
	acc, fail := accountOf(ch.Credentials)
	if fail != nil {
		return nil, fail
	}
	protocol, _, _ := strings.Cut(callbackURL, ":")
	if fail := a.notify(ctx, acc, url.Values{"Action": {"Subscribe"}, "TopicArn": {acc.topic}, "Protocol": {protocol}, "Endpoint": {callbackURL}}); fail != nil {
		return nil, permitted(httpclient.AsRead(fail), "sns:Subscribe")
	}
	settings := maps.Clone(ch.Settings)
	if settings == nil {
		settings = map[string]string{}
	}
	settings[settingSubscription] = asked
	return settings, nil
}

// segment is a part of a path as the SDK writes it.
func segment(s string) string { return strings.ReplaceAll(url.PathEscape(s), "@", "%40") }

// Setup says what is left to do in the account's console.
func (a *Adapter) Setup(ch provider.Channel, callbackURL string) []provider.SetupStep {
	s := ch.Settings
	var steps []provider.SetupStep
	if s[settingSubscription] == asked {
		steps = append(steps, provider.SetupStep{
			Title: "See that the subscription is confirmed",
			Detail: "In Amazon SNS, open the topic " + s[settingTopic] + ". Its subscription of this endpoint confirms itself. " +
				"If it is still pending after a minute, select it and choose Request confirmation.",
			Value: callbackURL,
		})
	} else {
		steps = append(steps, provider.SetupStep{
			Title: "Subscribe the topic to the callback URL",
			Detail: "In Amazon SNS, open the topic " + s[settingTopic] + " and create a subscription with the protocol HTTPS and this endpoint, " +
				"without raw message delivery. It confirms itself.",
			Value: callbackURL,
		})
	}
	if s[settingEvents] != published {
		set := "the identity's default configuration set"
		if s[settingConfigSet] != "" {
			set = "the configuration set " + s[settingConfigSet]
		}
		steps = append(steps, provider.SetupStep{
			Title: "Publish what becomes of letters",
			Detail: "In Amazon SES, open " + set + " and add an event destination: sends, deliveries, hard bounces, complaints, rejects and " +
				"rendering failures, to this SNS topic. Without it a letter is never reported as delivered.",
			Value: s[settingTopic],
		})
	}
	return append(steps, provider.SetupStep{
		Title: "Receive letters",
		Detail: "In Amazon SES, under Email receiving, add a rule for " + s[settingFrom] + " that publishes to this SNS topic with the encoding Base64. " +
			"The domain's MX record has to be inbound-smtp." + s[settingRegion] + ".amazonaws.com.",
		Value: s[settingTopic],
	})
}

// Templates lists the names of the account's templates. SES approves none, so each can be sent. Their texts would be a call
// each, of which SES allows one in a second.
func (a *Adapter) Templates(ctx context.Context, ch provider.Channel) ([]provider.Template, error) {
	acc, fail := accountOf(ch.Credentials)
	if fail != nil {
		return nil, fail
	}
	var out []provider.Template
	token := ""
	for {
		path := "/v2/email/templates?PageSize=100"
		if token != "" {
			path = "/v2/email/templates?NextToken=" + url.QueryEscape(token) + "&PageSize=100"
		}
		body, fail := a.look(ctx, acc, path)
		if fail != nil {
			return nil, permitted(fail, "ses:ListEmailTemplates")
		}
		var page struct {
			TemplatesMetadata []struct{ TemplateName string }
			NextToken         string
		}
		if json.Unmarshal(body, &page) != nil {
			return nil, httpclient.AsRead(httpclient.Unreadable())
		}
		for _, t := range page.TemplatesMetadata {
			if t.TemplateName != "" && len(out) < provider.MaxTemplates {
				out = append(out, provider.Template{ID: t.TemplateName, Name: t.TemplateName, Status: "approved"})
			}
		}
		if token = page.NextToken; token == "" || len(page.TemplatesMetadata) == 0 || len(out) >= provider.MaxTemplates {
			return out, nil
		}
	}
}
