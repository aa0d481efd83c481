// Package proof holds tests only: that the source, the template, the OpenAPI document and the documents keep what
// the Contact Center Rules promise. What a test here lists (who may open content, which function may do what to which
// table) is meant to be changed with care: a change that widens it shows here first.
package proof
