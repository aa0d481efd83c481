package api

import (
	"contactcenter/shared/provider/registry"
	"contactcenter/shared/rules"
)

// ProviderOf shows a provider's entry.
func ProviderOf(e registry.Entry) Provider {
	p := Provider{
		ID: e.ID, Name: e.Name, LegalEntity: e.LegalEntity, Website: e.Website, Onboarding: Onboarding(e.Onboarding),
		ChannelTypes: append([]string{}, e.ChannelTypes...), TransferCountries: append([]string{}, e.TransferCountries...),
		Documents: []ProviderDocument{}, CredentialFields: []CredentialField{}, TermsVersion: e.TermsVersion, Status: ProviderStatus(e.Status),
		Health: Health(e.Health.State), Since: OptionalTime(e.Health.Since),
	}
	for _, d := range e.Documents {
		p.Documents = append(p.Documents, ProviderDocument(d))
	}
	for _, f := range e.CredentialFields {
		p.CredentialFields = append(p.CredentialFields, CredentialField{Name: f.Name, Kind: f.Kind})
	}
	return p
}

// RulesOf shows a version of the Rules.
func RulesOf(v rules.Version) Rules {
	out := Rules{Version: v.Version, EffectiveAt: At(v.EffectiveAt), Acceptance: RulesAcceptanceMode(v.Acceptance()), Documents: []RulesDocument{}, ProhibitedUses: []ProhibitedUse{}}
	for _, d := range v.Documents {
		out.Documents = append(out.Documents, RulesDocument{ID: RulesDocumentID(d.ID), Version: d.Version, Sha256: d.SHA256, URL: d.URL})
	}
	for _, u := range v.ProhibitedUses {
		out.ProhibitedUses = append(out.ProhibitedUses, ProhibitedUse(u))
	}
	return out
}
