// Package authn has the session type of Oathkeeper, because templates can print the names of its types.
package authn

import (
	"net/http"
	"net/url"
)

// AuthenticationSession is the data of a claims template.
type AuthenticationSession struct {
	Subject      string                 `json:"subject"`
	Extra        map[string]interface{} `json:"extra"`
	Header       http.Header            `json:"header"`
	MatchContext MatchContext           `json:"match_context"`
}

// MatchContext describes the request.
type MatchContext struct {
	RegexpCaptureGroups []string    `json:"regexp_capture_groups"`
	URL                 *url.URL    `json:"url"`
	Method              string      `json:"method"`
	Header              http.Header `json:"header"`
}
