-- Images by how many dumps have them, the rarest first.
-- limit: 2000
SELECT count(DISTINCT i.dump_id) AS dumps, count(*) AS images, min(i.path) AS path, max(i.company_name) AS company, max(i.file_version) AS version,
       max(i.original_filename) AS original_name, i.sha256, min(i.dump_id) AS dump, max(i.pages_modified) AS pages_modified
FROM images i WHERE i.sha256 IS NOT NULL GROUP BY i.sha256 ORDER BY 1, max(i.company_name) LIKE 'Microsoft%', 3, i.sha256;
