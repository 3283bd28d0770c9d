import dougong

with dougong.load("docs/recipes/rag.yaml", set={"library.chunker.size": 200}) as assembly:
    assembly["library"].sync()
    answer = assembly.run("When was the Yingzao Fashi printed?")
    print(answer.text)
    for citation in answer.citations:
        print(citation.source, citation.line, citation.headings)

chunker = dougong.make("chunker.recursive", size=400, tokenizer={"use": "characters"})
