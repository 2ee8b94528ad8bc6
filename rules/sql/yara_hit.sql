-- SPDX-License-Identifier: Apache-2.0
-- rule: yara_hit
-- severity: medium
-- confidence: 60
-- title: {subject} matches the YARA rule {yara_rule} at {address}{what}
--
-- One finding for each rule and region. A rule's metadata may say its severity, confidence and
-- attack (MITRE ATT&CK technique), and where a match means something:
--   memory = "private"   in memory that may be executed and is no mapped image and no driver
--   memory = "unshared"  there, and in an image that has executable pages of its own
--   module = "x.dll"     in the mapping of that file
--   stub = "system call" but in a copy of a stub that the process has redirected to its own program, as the sandbox of browsers does
WITH redirected AS MATERIALIZED (
	SELECT DISTINCT i.process_id, s.number
	FROM system_call_stubs s JOIN images i USING (image_id) JOIN processes p USING (process_id) JOIN vads v ON v.process_id = p.process_id AND v.start_address = p.section_base
	WHERE p.dump_id = :dump_id AND s.hooked AND v.type = 'image' AND s.target BETWEEN v.start_address AND v.end_address
		AND (substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Program Files%' OR substr(p.image_path, 8 + instr(substr(p.image_path, 9), '\')) LIKE '\Windows\%')
), placed AS (
	SELECT m.match_id, m.process_id, m.vad_id, m.region_base, m.address, m.length, m.rule, m.namespace,
		m.tags, m.meta, m.string_identifier, m.data, v.type, v.protection, v.start_address, v.end_address, v.file_path,
		v.pages_present, v.pages_executable, v.pages_executable_private_image,
		lower(json_extract(m.meta, '$.severity')) AS said_severity,
		json_extract(m.meta, '$.memory') AS memory, lower(json_extract(m.meta, '$.module')) AS module,
		CASE WHEN m.process_id IS NULL THEN (SELECT d.name FROM drivers d WHERE d.dump_id = m.dump_id
			AND m.address >= d.base AND m.address < d.base + d.size) END AS driver,
		(v.type IS NOT 'image' AND
			((v.vad_id IS NULL AND (m.process_id IS NULL OR regions_known)) OR v.pages_executable > 0 OR v.protection LIKE '%EXECUTE%')) AS injected
	-- Where no process's regions could be read, that there is none says nothing.
	FROM yara_matches m LEFT JOIN vads v USING (vad_id),
		(SELECT EXISTS (SELECT 1 FROM vads JOIN processes USING (process_id) WHERE dump_id = :dump_id) AS regions_known)
	WHERE m.dump_id = :dump_id
), counted AS (
	SELECT *, row_number() OVER (same ORDER BY address, match_id) AS nth,
		count(*) OVER same AS matches, max(address + length) OVER same AS past
	FROM placed
	WHERE CASE memory
			WHEN 'private' THEN injected AND driver IS NULL
			WHEN 'unshared' THEN (injected OR pages_executable_private_image > 0) AND driver IS NULL
			ELSE 1 END
		AND (module IS NULL OR lower(file_path) LIKE '%\' || module)
		AND NOT (json_extract(meta, '$.stub') IS 'system call' AND EXISTS (SELECT 1 FROM direct_system_calls d JOIN redirected r ON r.process_id = d.process_id AND r.number = d.number
			WHERE d.process_id = placed.process_id AND d.address BETWEEN placed.address AND placed.address + placed.length - 1 AND d.copied))
	WINDOW same AS (PARTITION BY process_id, namespace, rule, region_base)
), strings AS (
	SELECT process_id, namespace, rule, region_base, json_group_object(string_identifier, n) AS strings
	FROM (SELECT process_id, namespace, rule, region_base, string_identifier, count(*) AS n FROM counted
		GROUP BY 1, 2, 3, 4, 5 ORDER BY 1, 2, 3, 4, 5)
	GROUP BY 1, 2, 3, 4
)
SELECT c.process_id, c.address, c.past - c.address AS length,
	CASE WHEN said_severity IN ('info', 'low', 'medium', 'high', 'critical') THEN said_severity END AS severity,
	CASE WHEN json_type(c.meta, '$.confidence') = 'integer' THEN json_extract(c.meta, '$.confidence')
		ELSE CASE said_severity WHEN 'critical' THEN 90 WHEN 'high' THEN 80 WHEN 'low' THEN 40 WHEN 'info' THEN 20 END
		END AS confidence,
	CASE WHEN json_extract(c.meta, '$.attack') GLOB 'T[0-9][0-9][0-9][0-9]*' THEN json_extract(c.meta, '$.attack')
		END AS attack,
	c.rule AS yara_rule,
	CASE WHEN c.process_id IS NOT NULL THEN coalesce(p.name, 'process') || ' (' || coalesce(p.pid, '?') || ')'
		ELSE coalesce(c.driver, 'kernel memory of no driver') END AS subject,
	coalesce(': ' || json_extract(c.meta, '$.description'), '') AS what,
	json_object(
		'rule', c.rule, 'namespace', c.namespace, 'tags', json(c.tags), 'meta', json(c.meta),
		'matches', c.matches,
		'strings', json(s.strings),
		'region_base', printf('0x%x', c.region_base), 'first_match', printf('0x%x', c.address),
		'first_bytes', lower(hex(substr(c.data, 1, 32))),
		'driver', c.driver,
		'vad', CASE WHEN c.vad_id IS NOT NULL THEN json_object(
			'type', c.type, 'protection', c.protection, 'start_address', printf('0x%x', c.start_address),
			'end_address', printf('0x%x', c.end_address), 'file_path', c.file_path, 'pages_present', c.pages_present,
			'pages_executable', c.pages_executable,
			'pages_executable_private_image', c.pages_executable_private_image) END) AS detail
FROM counted c LEFT JOIN processes p USING (process_id)
	JOIN strings s ON s.namespace = c.namespace AND s.rule = c.rule AND s.region_base = c.region_base
		AND s.process_id IS c.process_id
WHERE c.nth = 1
ORDER BY c.process_id, c.region_base, c.namespace, c.rule;
