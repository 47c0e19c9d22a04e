package template_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nameplate-id/nameplate/registry/identifier"
	"github.com/nameplate-id/nameplate/resolver/template"
)

func url(index uint32, data string) identifier.Value {
	return identifier.Value{Index: index, Type: "URL", Data: []byte(data), TTL: identifier.TTL{Seconds: 60}, Permissions: identifier.DefaultPermissions}
}

func desc(index uint32, data string) identifier.Value {
	v := url(index, data)
	v.Type = "DESC"
	return v
}

// compute applies a template to 88.118.8 and a suffix, as the authority does.
func compute(t testing.TB, xml, suffix string, in template.Input, fold bool) (string, error) {
	t.Helper()
	n, err := template.Parse([]byte(xml), fold)
	if err != nil {
		return "", err
	}
	base, extension, ok := n.Split(suffix)
	if !ok {
		return "no template", nil
	}
	in.Handle, in.Base, in.Extension = "88.118.8/"+suffix, strings.TrimSuffix("88.118.8/"+base, "/"), extension
	values, ok, err := n.Apply(in)
	if err != nil {
		return "", err
	}
	if !ok {
		return "absent", nil
	}
	var lines []string
	for _, v := range values {
		lines = append(lines, fmt.Sprintf("%d %s %s", v.Index, v.Type, v.Data))
	}
	return strings.Join(lines, "; "), nil
}

const serials = `<namespace><contact>a@maker.example</contact>
  <template delimiter="-">
    <if value="extension" test="matches" expression="([0-9]{2})([0-9]{2})">
      <value index="1" type="URL" data="https://maker.example/${extension[1]}/$2?id=${handle}"/>
      <foreach><if value="type" test="equals" expression="DESC"><value/></if></foreach>
    </if>
    <else><notfound/></else>
  </template></namespace>`

func TestTemplate(t *testing.T) {
	wrap := func(s string) string { return `<namespace><template delimiter="-">` + s + `</template></namespace>` }
	one := func(attributes string) string { return wrap(`<value type="URL" ` + attributes + `/>`) }
	base := []identifier.Value{desc(1, "Pump"), url(3, "https://maker.example/p"), desc(9, "4 kW")}
	for _, c := range []struct {
		name, xml, suffix, want string
		fold                    bool
	}{
		{"a serial in the range", serials, "sn-0042", "1 URL https://maker.example/00/42?id=88.118.8/sn-0042; 2 DESC Pump; 9 DESC 4 kW", true},
		{"a serial outside of it", serials, "sn-42", "absent", true},
		{"no delimiter", serials, "sn0042", "no template", true},
		{"nothing in front of the delimiter", serials, "-0042", "no template", true},
		{"nothing behind it", serials, "sn-", "no template", true},
		{"the first delimiter cuts", one(`data="x:${base}|${extension}"`), "a-b-c", "1 URL x:88.118.8/a%7Cb-c", true},
		{"an empty delimiter", `<namespace><template delimiter=""><value type="DESC" data="${base}|${extension}"/></template></namespace>`, "sn-1", "1 DESC 88.118.8|sn-1", true},
		{"a delimiter of several octets", `<namespace><template delimiter="/21/"><value type="DESC" data="${extension}"/></template></namespace>`, "010/21/AB", "1 DESC AB", false},
		{"no template in it", `<namespace><contact>x</contact></namespace>`, "a-b", "no template", true},
		{"a template without delimiter is only referred to", `<namespace><template><value type="X" data="x"/></template></namespace>`, "a-b", "no template", true},
		{"backslash", one(`data="x:\$1\${base}\\"`), "a-b", `1 URL x:$1$%7Bbase%7D%5C`, true},
		{"a dollar and nothing", one(`data="x:$ $a $"`), "a-b", "1 URL x:$%20$a%20$", true},
		{"no end of a reference", one(`data="x:${base"`), "a-b", "1 URL x:$%7Bbase", true},
		{"what nobody named", one(`data="x:[${nobody}${extension[7]}$9${base[1]}]"`), "a-b", "1 URL x:[]", true},
		{"URL encodes", one(`data="https://maker.example/${extension}"`), "a-ü b%20%z", "1 URL https://maker.example/%C3%BC%20b%20%25z", true},
		{"a URL that is none is left out", wrap(`<value type="URL" data="${extension}"/><value type="DESC" data="d"/>`), "a-b", "1 DESC d", true},
		{"indexes move up", wrap(`<value type="A" data="a"/><value type="B" data="b"/><value index="7" type="C" data="c"/><value index="7" type="D" data="d"/><value index="1" type="E" data="e"/>`), "a-b",
			"1 A a; 2 B b; 3 E e; 7 C c; 8 D d", true},
		{"text as data", wrap(`<value type="DESC"> <![CDATA[<${extension}>]]> </value>`), "a-b<", "1 DESC <b<>", true},
		{"elements as data", wrap(`<value type="10320/loc"><locations><location href="https://maker.example/?q=${extension}&amp;x"/></locations></value>`), `a-"><x>&`,
			`1 10320/loc <locations><location href="https://maker.example/?q=&#34;&gt;&lt;x&gt;&amp;&amp;x"/></locations>`, true},
		{"equals without case", wrap(`<if expression="ABC"><value type="X" data="yes"/></if><else><value type="X" data="no"/></else>`), "a-abc", "1 X yes", true},
		{"equals with case", wrap(`<if expression="ABC"><value type="X" data="yes"/></if><else><value type="X" data="no"/></else>`), "a-abc", "1 X no", false},
		{"matches without case", wrap(`<if test="matches" expression="A.C"><value type="X" data="yes"/></if>`), "a-abc", "1 X yes", true},
		{"matches the whole text", wrap(`<if test="matches" expression="b|bc"><value type="X" data="yes"/></if>`), "a-bcd", "absent", true},
		{"an expression cannot leave its parentheses", wrap(`<if test="matches" expression="x|)(?:"><value type="X" data="yes"/></if>`), "a-b", "error", true},
		{"negate", wrap(`<if negate="true" test="matches" expression="[0-9]+"><value type="X" data="no number"/></if><else><value type="X" data="${extension[0]}"/></else>`), "a-17", "1 X 17", true},
		{"negate holds", wrap(`<if negate="true" test="matches" expression="[0-9]+"><value type="X" data="no number"/></if>`), "a-x", "1 X no number", true},
		{"parameter", wrap(`<if parameter="p" test="matches" expression="(.)(.)"><if value="p[2]" expression="b"><value type="X" data="${p[1]}${extension}"/></if></if>`), "a-ab", "1 X aab", true},
		{"groups end with their if", wrap(`<if test="matches" expression="(.).*"><value type="X" data="$1"/></if><value type="Y" data="[$1]"/>`), "a-ab", "1 X a; 2 Y []", true},
		{"def", wrap(`<def parameter="d"><value type="X" data="<${extension}"/></def><value type="Y" data="${d}>"/>`), "a-b", "error", true},
		{"def of text", wrap(`<def parameter="d"><value type="X" data="(${extension}"/></def><value type="Y" data="${d})"/>`), "a-b", "1 Y (b)", true},
		{"foreach", wrap(`<foreach><value type="${type}2" data="${index}=${data}"/></foreach>`), "a-b", "1 DESC2 1=Pump; 3 URL2 3=https://maker.example/p; 9 DESC2 9=4 kW", true},
		{"foreach repeats", wrap(`<foreach><value/></foreach>`), "a-b", "1 DESC Pump; 3 URL https://maker.example/p; 9 DESC 4 kW", true},
		{"notfound wins over what was given", wrap(`<value type="X" data="x"/><notfound/>`), "a-b", "absent", true},
		{"two templates", `<namespace><template delimiter="-"><value type="A" data="a"/></template><template delimiter="+"><value type="B" data="b"/></template></namespace>`, "a-b", "1 A a; 2 B b", true},
		{"referred to", `<namespace><template delimiter="-" ref="300:0.NA/88.118"/></namespace>`, "a-b", "1 X from 88.118.8/a", true},
		{"referred to nowhere", `<namespace><template delimiter="-" ref="301:0.NA/88.118"/></namespace>`, "a-b", "error", true},
		{"referred to itself", `<namespace><template delimiter="-" ref="302:0.NA/88.118"/></namespace>`, "a-b", "error", true},

		{"empty", "", "a-b", "error", true},
		{"no XML", "hello", "a-b", "error", true},
		{"another root", "<x/>", "a-b", "error", true},
		{"not closed", "<namespace>", "a-b", "error", true},
		{"two roots", "<namespace/><namespace/>", "a-b", "error", true},
		{"a document type", `<!DOCTYPE namespace [<!ENTITY x "y">]><namespace/>`, "a-b", "error", true},
		{"an entity", `<namespace>&x;</namespace>`, "a-b", "error", true},
		{"an encoding", `<?xml version="1.0" encoding="UTF-16"?><namespace/>`, "a-b", "error", true},
		{"an instruction", `<?php x?><namespace/>`, "a-b", "error", true},
		{"an unknown element", wrap(`<valeu type="X" data="x"/>`), "a-b", "error", true},
		{"an unknown attribute", wrap(`<value typ="X" type="X" data="x"/>`), "a-b", "error", true},
		{"text beside", wrap(`x`), "a-b", "error", true},
		{"else without if", wrap(`<else/>`), "a-b", "error", true},
		{"foreach in foreach", wrap(`<foreach><foreach/></foreach>`), "a-b", "error", true},
		{"a value without type", wrap(`<value data="x"/>`), "a-b", "error", true},
		{"data twice", wrap(`<value type="X" data="x">y</value>`), "a-b", "error", true},
		{"an index of 0", wrap(`<value index="0" type="X" data="x"/>`), "a-b", "error", true},
		{"an if without expression", wrap(`<if value="type"/>`), "a-b", "error", true},
		{"an unknown test", wrap(`<if test="contains" expression="x"/>`), "a-b", "error", true},
		{"look ahead", wrap(`<if test="matches" expression="(?=x)"/>`), "a-b", "error", true},
		{"a reference back", wrap(`<if test="matches" expression="(.)\1"/>`), "a-b", "error", true},
		{"too many steps", wrap(`<if test="matches" expression="(.{100}){9}.{200}"/>`), "a-b", "error", true},
		{"too many steps together", wrap(strings.Repeat(`<if test="matches" expression=".{100}"/>`, 11)), "a-b", "error", true},
		{"too long an expression", wrap(`<if test="matches" expression="` + strings.Repeat("a", 1025) + `"/>`), "a-b", "error", true},
		{"too deep", wrap(strings.Repeat(`<if expression="x">`, 15) + strings.Repeat("</if>", 15)), "a-b", "error", true},
		{"too many elements", wrap(strings.Repeat(`<value type="X" data="x"/>`, 511)), "a-b", "error", true},
		{"too many values", wrap(strings.Repeat(`<foreach><value/></foreach>`, 100)), "a-b", "error", true},
		{"too many octets", wrap(`<foreach>` + strings.Repeat(`<value type="X" data="`+strings.Repeat("x", 900)+`"/>`, 60) + `</foreach>`), "a-b", "error", true},
		{"too much of one value", wrap(`<def parameter="d"><value type="X" data="` + strings.Repeat("x", 9000) + `"/></def><value type="X" data="${d}${d}${d}${d}${d}${d}${d}${d}"/>`), "a-b", "error", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := template.Input{Values: base, Refer: func(index uint32, handle string) ([]byte, bool) {
				switch {
				case handle != "0.NA/88.118":
				case index == 300:
					return []byte(`<template><value type="X" data="from ${base}"/></template>`), true
				case index == 302:
					return []byte(`<template ref="302:0.NA/88.118"/>`), true
				}
				return nil, false
			}}
			got, err := compute(t, c.xml, c.suffix, in, c.fold)
			if err != nil {
				got = "error"
			}
			if got != c.want {
				t.Errorf("got %q, %v; want %q", got, err, c.want)
			}
		})
	}
}

// The service with the locations of what is below stands beside templates, or alone.
func TestLocations(t *testing.T) {
	for xml, want := range map[string]string{
		`<namespace/>`: "",
		`<namespace><locs>88.118/SERV</locs></namespace>`:                                                    "88.118/SERV",
		`<namespace><status>a</status><locs> 10.SERV/X<!-- a -->Y </locs></namespace>`:                       "10.SERV/XY",
		`<namespace><locs>88.1/a</locs><locs>88.1/b</locs></namespace>`:                                      "88.1/a",
		`<namespace><template delimiter="-"/><locs>88.1/a</locs></namespace>`:                                "88.1/a",
		`<namespace><locs> </locs></namespace>`:                                                              "error",
		`<namespace><locs>` + strings.Repeat("x", 2049) + `</locs></namespace>`:                              "error",
		`<namespace><locs>` + strings.Repeat("<a>", 20) + strings.Repeat("</a>", 20) + `</locs></namespace>`: "error",
	} {
		n, err := template.Parse([]byte(xml), true)
		got := "error"
		if err == nil {
			got = n.Locations()
		}
		if got != want {
			t.Errorf("%.80s: got %q, %v; want %q", xml, got, err, want)
		}
	}
}

func TestErrorsNameThePlace(t *testing.T) {
	_, err := template.Parse([]byte(`<namespace><template delimiter="-"><valeu/></template></namespace>`), true)
	var e *template.Error
	if !errors.As(err, &e) || e.Offset != 43 || !strings.Contains(e.Rule, `"valeu"`) || !strings.Contains(e.Rule, "foreach") {
		t.Errorf("got %v; want an error that names octet 43, valeu, and what there is", err)
	}
}

func TestTraceSaysWhichRuleMatched(t *testing.T) {
	var got []string
	in := template.Input{Trace: func(s template.Step) { got = append(got, fmt.Sprintf("%d:%d %s", s.Line, s.Depth, s.Text)) }}
	if _, err := compute(t, serials, "sn-12", in, true); err != nil {
		t.Fatal(err)
	}
	want := []string{
		`3:1 if passed over: "12" does not match ([0-9]{2})([0-9]{2})`,
		`7:1 else taken: "12" does not match ([0-9]{2})([0-9]{2})`,
		`7:2 notfound: there is no such identifier`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

// The values of the base keep what they have, and are not changed.
func TestForeachKeepsTheRestOfAValue(t *testing.T) {
	v := url(4, "https://maker.example/p")
	v.Link = &identifier.Link{Relation: "gs1:pip", Languages: []string{"en"}}
	v.TTL.Seconds, v.Permissions, v.Timestamp = 77, identifier.PublicRead, time.Unix(7, 0)
	n, err := template.Parse([]byte(`<namespace><template delimiter="-"><foreach><value data="${data}/${extension}"/><value type="X"/></foreach></template></namespace>`), true)
	if err != nil {
		t.Fatal(err)
	}
	values, ok, err := n.Apply(template.Input{Extension: "7", Values: []identifier.Value{v}})
	if err != nil || !ok || len(values) != 2 {
		t.Fatalf("got %v, %t, %v; want two values", values, ok, err)
	}
	if got := values[0]; string(got.Data) != "https://maker.example/p/7" || got.Link != v.Link || got.TTL != v.TTL || got.Permissions != v.Permissions || !got.Timestamp.Equal(v.Timestamp) {
		t.Errorf("got %+v; want what the base has, with other data", got)
	}
	if got := values[1]; got.Type != "X" || got.Index != 5 || got.Link != nil {
		t.Errorf("got %+v; want type X, the next index and no link, which only a URL has", got)
	}
	if string(v.Data) != "https://maker.example/p" {
		t.Errorf("the base's value became %q", v.Data)
	}
}

// An expression with which others take time without end takes work that is counted.
func TestWorkIsBounded(t *testing.T) {
	xml := `<namespace><template delimiter="-">` +
		strings.Repeat(`<foreach><if value="data" test="matches" expression="(a*)*b"><value/></if></foreach>`, 60) + `</template></namespace>`
	n, err := template.Parse([]byte(xml), true)
	if err != nil {
		t.Fatal(err)
	}
	var values []identifier.Value
	for i := range uint32(100) {
		values = append(values, desc(i+1, strings.Repeat("a", 2000)))
	}
	if _, _, err := n.Apply(template.Input{Extension: "x", Values: values}); err == nil || !strings.Contains(err.Error(), "units of work") {
		t.Errorf("got %v; want an error about work", err)
	}
}

// What a template gives are values that a holder could have registered, in order and
// within the limits; the same for the same; and the base's values stay as they are.
func TestWhatComesOutCanBeRegistered(t *testing.T) {
	piece := rapid.SampledFrom([]string{"${extension}", "${base}", "${handle}", "${data}", "${type}", "${index}", "$1", "$2", "${p}", "${p[1]}", "https://maker.example/", "\\$", "x", "é", " ", "%", "%41", "&lt;", "$", "{"})
	var elements func(depth int) *rapid.Generator[string]
	elements = func(depth int) *rapid.Generator[string] {
		return rapid.Custom(func(t *rapid.T) string {
			var b strings.Builder
			for range rapid.IntRange(0, 3).Draw(t, "elements") {
				text := strings.Join(rapid.SliceOfN(piece, 0, 4).Draw(t, "data"), "")
				switch rapid.IntRange(0, 6).Draw(t, "kind") {
				case 0, 1:
					fmt.Fprintf(&b, `<value index="%d" type="%s" data="%s"/>`, rapid.IntRange(1, 5).Draw(t, "index"), rapid.SampledFrom([]string{"URL", "DESC", "${type}", "X"}).Draw(t, "type"), text)
				case 2:
					if depth < 4 {
						of := rapid.SampledFrom([]string{"extension", "type", "data", "base", "p"}).Draw(t, "of")
						expression := rapid.SampledFrom([]string{"([a-z]*)(.*)", "DESC", "(.)+", "(?:a|b)*", ".*"}).Draw(t, "expression")
						fmt.Fprintf(&b, `<if value="%s" test="%s" negate="%t" expression="%s">%s</if><else>%s</else>`, of, rapid.SampledFrom([]string{"equals", "matches"}).Draw(t, "test"),
							rapid.Bool().Draw(t, "negate"), expression, elements(depth+1).Draw(t, "in"), elements(depth+1).Draw(t, "else"))
					}
				case 3:
					fmt.Fprintf(&b, `<foreach><value data="%s"/><value/></foreach>`, text)
				case 4:
					fmt.Fprintf(&b, `<def parameter="p"><value type="X" data="%s"/></def>`, text)
				case 5:
					if rapid.IntRange(0, 9).Draw(t, "rarely") == 0 {
						b.WriteString("<notfound/>")
					}
				case 6:
					fmt.Fprintf(&b, `<value type="10320/loc"><l h="%s"/></value>`, text)
				}
			}
			return b.String()
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		xml := `<namespace><template delimiter="-">` + elements(0).Draw(t, "elements") + `</template></namespace>`
		fold := rapid.Bool().Draw(t, "fold")
		n, err := template.Parse([]byte(xml), fold)
		if err != nil {
			t.Fatalf("%s: %v", xml, err)
		}
		base, extension, ok := n.Split(rapid.StringN(0, 20, 60).Draw(t, "base") + "-" + rapid.StringN(0, 20, 60).Draw(t, "extension"))
		if !ok {
			return
		}
		in := template.Input{Handle: "88.118.8/" + base + "-" + extension, Base: "88.118.8/" + base, Extension: extension,
			Values: []identifier.Value{desc(1, "Pump é"), url(2, "https://maker.example/"), desc(700, string([]byte{0, 255}))}}
		before := fmt.Sprintf("%+v", in.Values)
		values, found, err := n.Apply(in)
		again, _, _ := n.Apply(in)
		switch {
		case err != nil && (found || values != nil), found != (len(values) > 0):
			t.Fatalf("%s: got %d values, %t, %v", xml, len(values), found, err)
		case fmt.Sprintf("%+v", values) != fmt.Sprintf("%+v", again):
			t.Fatalf("%s: two values for one question: %+v, %+v", xml, values, again)
		case fmt.Sprintf("%+v", in.Values) != before:
			t.Fatalf("%s: the values of the base were changed", xml)
		}
		if err := identifier.CheckValues(values); err != nil {
			t.Fatalf("%s: %v", xml, err)
		}
		if len(values) > template.MaxValues {
			t.Fatalf("%s: %d values", xml, len(values))
		}
	})
}

func FuzzTemplate(f *testing.F) {
	f.Add([]byte(serials), "sn-0042", true)
	f.Add([]byte(`<template delimiter=""><foreach><value data="${data}$1"/></foreach></template>`), "x", false)
	f.Add([]byte(`<namespace><template delimiter="/" ref="1:x/y"/></namespace>`), "a/b", true)
	f.Add([]byte(`<namespace><template delimiter="-"><if value="extension" test="matches" expression="((a+)+)+$"><value type="URL"><a b="${extension[1]}"/></value></if></template></namespace>`), "a-aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!", true)
	f.Fuzz(func(t *testing.T, data []byte, suffix string, fold bool) {
		n, err := template.Parse(data, fold)
		if err != nil {
			if !errors.As(err, new(*template.Error)) {
				t.Fatalf("%v is no error of a template", err)
			}
			return
		}
		base, extension, ok := n.Split(suffix)
		if !ok {
			return
		}
		if len(base)+len(extension) >= len(suffix)+1 {
			t.Fatalf("%q became %q and %q", suffix, base, extension)
		}
		values, found, err := n.Apply(template.Input{Handle: "88/" + suffix, Base: "88/" + base, Extension: extension,
			Values: []identifier.Value{desc(1, "Pump"), url(7, "https://maker.example/")},
			Refer:  func(uint32, string) ([]byte, bool) { return data, true }})
		if err == nil && found != (len(values) > 0) {
			t.Fatalf("%d values and %t", len(values), found)
		}
		if err := identifier.CheckValues(values); err != nil {
			t.Fatal(err)
		}
	})
}
