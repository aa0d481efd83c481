package edna

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"contactcenter/shared/provider"
	"contactcenter/shared/provider/httpclient"
)

// The settings that Activate returns and Send and ParseCallback read.
const (
	settingSubjectID = "subject_id"
	settingSubject   = "subject"
	settingCascade   = "cascade_id"
)

type channelProfile struct {
	SubjectID          int64  `json:"subjectId"`
	Subject            string `json:"subject"`
	ChannelAttribute   string `json:"channelAttribute"`
	Active             bool   `json:"active"`
	RegistrationStatus string `json:"registrationStatus"`
	Type               string `json:"type"`
}

type cascade struct {
	ID          int64   `json:"id"`
	Status      string  `json:"status"`
	StagesCount int     `json:"stagesCount"`
	Stages      []stage `json:"stages"`
}

type stage struct {
	Subject struct {
		ID      int64  `json:"id"`
		Subject string `json:"subject"`
	} `json:"subject"`
	Stages []stage `json:"stages"`
}

// Activate finds the sender ch.SenderID (edna's subjectId) and the cascade that sends by it alone, and has edna call
// callbackURL with replies, statuses and template news. edna checks the URL with a HEAD before it accepts it.
func (a *Adapter) Activate(ctx context.Context, ch provider.Channel, callbackURL string) (map[string]string, string, error) {
	ctx, cancel := context.WithTimeout(ctx, a.activateTimeout)
	defer cancel()
	settings, address, err := a.activate(ctx, ch, callbackURL)
	if err != nil {
		return nil, "", err
	}
	return settings, address, nil
}

func (a *Adapter) activate(ctx context.Context, ch provider.Channel, callbackURL string) (map[string]string, string, *provider.Error) {
	subject, err := strconv.ParseInt(ch.SenderID, 10, 64)
	if err != nil {
		return nil, "", senderUnavailable("the channel has no edna sender")
	}
	profile, fail := a.findSender(ctx, subject)
	if fail != nil {
		return nil, "", fail
	}
	cascadeID, fail := a.findCascade(ctx, profile)
	if fail != nil {
		return nil, "", fail
	}
	if fail := a.setCallback(ctx, subject, callbackURL); fail != nil {
		return nil, "", fail
	}
	settings := map[string]string{
		settingSubjectID: strconv.FormatInt(subject, 10),
		settingSubject:   profile.Subject,
		settingCascade:   strconv.FormatInt(cascadeID, 10),
	}
	address := ""
	if digits := strings.TrimPrefix(profile.ChannelAttribute, "+"); phone(digits) {
		address = "+" + digits
	}
	return settings, address, nil
}

func (a *Adapter) findSender(ctx context.Context, subject int64) (channelProfile, *provider.Error) {
	body, _, fail := a.call(ctx, http.MethodGet, "/channel-profile?types=WHATSAPP", nil)
	if fail != nil {
		return channelProfile{}, httpclient.AsRead(fail)
	}
	var profiles []channelProfile
	if err := json.Unmarshal(body, &profiles); err != nil {
		return channelProfile{}, httpclient.AsRead(httpclient.Unreadable())
	}
	for _, p := range profiles {
		if p.SubjectID != subject || p.Type != "" && p.Type != "WHATSAPP" {
			continue
		}
		if !p.Active || p.RegistrationStatus != "" && !strings.HasPrefix(p.RegistrationStatus, "DONE") {
			return channelProfile{}, senderUnavailable("the sender is not registered and active at edna")
		}
		return p, nil
	}
	return channelProfile{}, senderUnavailable("edna does not know the sender, or has not registered it yet")
}

func (a *Adapter) findCascade(ctx context.Context, p channelProfile) (int64, *provider.Error) {
	body, _, fail := a.call(ctx, http.MethodPost, "/cascade/get-all", map[string]int{"offset": 0, "limit": 0})
	if fail != nil {
		return 0, httpclient.AsRead(fail)
	}
	var cascades []cascade
	if err := json.Unmarshal(body, &cascades); err != nil {
		return 0, httpclient.AsRead(httpclient.Unreadable())
	}
	for _, c := range cascades {
		// A further stage would send by another channel too, which the customer has not ordered.
		if !strings.EqualFold(c.Status, "ACTIVE") || c.StagesCount > 1 || len(c.Stages) != 1 || len(c.Stages[0].Stages) != 0 {
			continue
		}
		s := c.Stages[0].Subject
		if s.ID == p.SubjectID || s.ID == 0 && s.Subject == p.Subject && p.Subject != "" {
			return c.ID, nil
		}
	}
	return 0, senderUnavailable("the sender has no active cascade of its own at edna")
}

func (a *Adapter) setCallback(ctx context.Context, subject int64, callbackURL string) *provider.Error {
	body, p, fail := a.call(ctx, http.MethodPost, "/callback/set", map[string]any{
		"statusCallbackUrl":         callbackURL,
		"inMessageCallbackUrl":      callbackURL,
		"messageMatcherCallbackUrl": callbackURL,
		"subjectId":                 subject,
	})
	word := p.Code
	if fail == nil {
		if word == "ok" || word == "" && json.Valid(body) {
			return nil
		}
		fail = httpclient.NotMade("edna did not accept the callback URL")
	}
	if word == "" {
		word = p.Title
	}
	if presentable(word) {
		fail.ProviderCode = word
	}
	switch word {
	case "error-callback-url-not-available":
		fail.Kind, fail.Code, fail.Fault = provider.Retry, "try_again", provider.FaultPlatform
		fail.Detail = "edna could not reach the callback URL"
	case "error-callback-url-max-length", "error-callback-url-not-https", "url-not-specified":
		fail.Kind, fail.Code, fail.Fault = provider.Permanent, "provider_refused", provider.FaultPlatform
		fail.Detail = "edna does not accept the callback URL: it must be https and at most 500 characters"
	}
	return httpclient.AsRead(fail) // setting the same URL again changes nothing
}
