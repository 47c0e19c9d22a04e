// Package template computes the values of identifiers that are not stored one by one:
// what the XML of an HS_NAMESPACE value says about everything below a prefix, such as a
// range of serial numbers. It reads, matches and writes texts, and asks for nothing: who
// calls it hands it the values that it needs.
//
// # Language
//
// It is that of stock Handle servers:
//
//	<namespace>
//	  <template delimiter="-">
//	    <if value="extension" test="matches" expression="([0-9]{4})([0-9]+)">
//	      <value index="1" type="URL" data="https://maker.example/${extension[1]}/${extension[2]}"/>
//	      <foreach>
//	        <if value="type" test="equals" expression="DESC"><value/></if>
//	      </foreach>
//	    </if>
//	    <else><notfound/></else>
//	  </template>
//	</namespace>
//
// The delimiter cuts the suffix where it first occurs: what stands in front is the base,
// whose values foreach goes through, the rest the extension. An empty delimiter makes
// all of the suffix the extension, and the prefix the base. A suffix without the
// delimiter, or with nothing on one side of it, has no template.
//
//   - value gives a value. Within foreach it repeats the value at hand, with another
//     index, type or data where there are attributes; elsewhere it needs type and data.
//     Data is an attribute, text, or elements, which are written as they stand. An index
//     that is taken moves up to the next that is free.
//   - if compares what its attribute value names (extension when there is none) with
//     expression: test="equals", or test="matches" for all of it with a regular
//     expression; negate="true" turns it round. Its attribute parameter is the name under
//     which the groups can be put in. else is for when the if before it is not so.
//   - foreach goes through the values of the base, once: there is none in another.
//   - def gives the data of the first value in it a name, its attribute parameter.
//   - notfound ends it all: there is no such identifier.
//   - template ref="INDEX:HANDLE" takes the template that this value has.
//
// Texts of type and data may hold ${handle}, ${base}, ${extension}, ${type}, ${data} and
// ${index} (within foreach), and parameters; ${name[2]} and $2 are groups of a match, the
// latter of extension. A backslash takes the next character as it is. What nobody has
// named is empty.
//
// Beside templates, the element locs names the service whose 10320/loc values say of
// everything below the prefix where else it is: <locs>88.118/SERV</locs>. The rest of a
// namespace is for others.
//
// # Where it differs
//
//   - Expressions are those of RE2: they take time that grows with the text and no faster.
//     Lookahead, lookbehind and references back do not exist there and are refused.
//   - What is broken is refused as a whole, by name and place: unknown elements and
//     attributes within template, an else without an if.
//   - What is put between elements is escaped as XML wants it, and what a URI cannot hold
//     is percent-encoded in the data of a URL.
//   - A template that gives no value at all says that there is no such identifier.
//   - Letters compare without case where the identifier's scheme ignores it.
//
// # Limits
//
// A value has at most [MaxData] octets, elements nest [MaxDepth] deep and are [MaxElements]
// at most; an expression has [MaxExpression] octets, and all of a value [MaxProgram] steps
// together; there are [MaxReferences] references in a row. One computation gives at most [MaxValues] values
// with [MaxOutput] octets, and does [MaxWork] units of work: octets written, and steps of
// an expression times octets it is held against. Document types, entities of one's own,
// processing instructions and encodings other than UTF-8 are refused.
package template
