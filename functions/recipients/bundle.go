package main

import (
	"context"
	"encoding/json"
	"errors"

	"contactcenter/shared/api"
	"contactcenter/shared/audit"
	"contactcenter/shared/audit/chain"
	"contactcenter/shared/evidence"
	"contactcenter/shared/message"
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
)

// messageIn shows a message in a bundle, with the disclosure under which it was transferred. Neither its content nor its address was
// opened: the address is the conversation's, which follows from the recipient.
func (h *Handler) messageIn(ctx context.Context, m message.Message, address string) (evidence.Message, error) {
	v := evidence.Message{
		ID: m.ID.String(), ConversationID: m.ID.ConversationID(), ChannelID: m.ChannelID, ProviderID: m.ProviderID, Direction: string(m.Direction), Address: address,
		Status: string(m.Status()), ContentSHA256: m.ContentSHA256, ClientReference: m.ClientReference, RulesVersion: m.RulesVersion, CreatedBy: m.CreatedBy,
		CreatedAt: evidence.At(m.CreatedAt()), UpdatedAt: evidence.At(m.UpdatedAt()), ReplyTo: m.ReplyTo, Attempts: m.Attempts, ProviderMessageID: m.ProviderMessageID,
		ErasedAt: evidence.Optional(m.ErasedAt), Timeline: []evidence.Step{},
	}
	if m.Scheduled(h.Now()) {
		v.Status = string(message.Scheduled)
	}
	if e := m.Error(); e != nil {
		v.Error = &evidence.MessageError{Code: e.Code, FaultDomain: e.FaultDomain, ProviderCode: e.ProviderCode, Permanent: e.Permanent}
	}
	for _, s := range m.Timeline() {
		v.Timeline = append(v.Timeline, evidence.Step{Status: string(s.Status), At: evidence.At(s.At), Reason: s.Reason})
	}
	if m.ProviderVersion == 0 {
		return v, nil // not handed over
	}
	c, err := h.Providers.Version(ctx, m.ProviderID, m.ProviderVersion)
	if err != nil && !errors.Is(err, registry.ErrNotFound) { // an entry from before versions were kept
		return v, err
	}
	v.Transfer = &evidence.Transfer{
		ProviderID: m.ProviderID, ProviderVersion: m.ProviderVersion, LegalEntity: c.Entry.LegalEntity, TermsVersion: c.Entry.TermsVersion,
		Countries: c.Entry.TransferCountries, CompletedAt: evidence.Optional(m.TransferCompletedAt),
	}
	return v, nil
}

func acceptanceIn(a rules.Acceptance) evidence.Acceptance {
	v := evidence.Acceptance{
		ID: a.ID, RulesVersion: a.RulesVersion, Kind: string(a.Kind), Documents: []evidence.Document{}, Capacity: string(a.Capacity), LegalEntityName: a.LegalEntityName,
		UserID: a.UserID, SourceIP: a.SourceIP, AcceptedAt: evidence.At(a.At),
	}
	for _, d := range a.Documents {
		v.Documents = append(v.Documents, evidence.Document{ID: d.ID, Version: d.Version, SHA256: d.SHA256})
	}
	return v
}

// eventIn gives an event as the account is shown it, and whether it is shown at all: exactly as GET /v1/audit-events has it, for its hash is
// over that.
func eventIn(e audit.Event) (record chain.Record, shown bool, err error) {
	view, shown := api.OwnAuditRecordOf(e)
	if !shown {
		return nil, false, nil
	}
	b, err := json.Marshal(view)
	if err == nil {
		err = json.Unmarshal(b, &record)
	}
	return record, true, err
}
